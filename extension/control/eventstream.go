// This file writes server-sent events, for those who watch.

package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// streamBeat is how often a stream with nothing to tell says so: it finds callers that have gone.
const streamBeat = 10 * time.Second

// eventStream writes server-sent events (HTML standard, section 9.2).
type eventStream struct {
	w       http.ResponseWriter
	flusher *http.ResponseController
}

// newEventStream begins an answer that may last: no write deadline holds for it as a whole.
func newEventStream(w http.ResponseWriter) *eventStream {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	return &eventStream{w: w, flusher: http.NewResponseController(w)}
}

// send writes one event with data as JSON; name "" is the default type.
func (s *eventStream) send(name string, data any) error {
	encoded, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if name != "" {
		name = "event: " + name + "\n"
	}
	return s.write(fmt.Appendf(nil, "%sdata: %s\n\n", name, encoded))
}

func (s *eventStream) comment(text string) error { return s.write([]byte(": " + text + "\n\n")) }

func (s *eventStream) write(p []byte) error {
	if err := s.flusher.SetWriteDeadline(time.Now().Add(2 * streamBeat)); err != nil {
		return err
	}
	if _, err := s.w.Write(p); err != nil {
		return err
	}
	return s.flusher.Flush()
}
