// This file is OFREP's event stream: it tells clients that evaluations may have changed (Server-Sent Events).

package flags

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

const (
	keepAlive    = 15 * time.Second // between signs of life
	streamWrite  = 10 * time.Second // that a client may take to read
	reconnectMs  = 2_000            // that a client waits before it connects again
	retrySeconds = 5                // that a client beyond the limit should wait
)

// streams are the open event streams.
type streams struct {
	limit int64
	state *atomic.Pointer[state]
	stop  <-chan struct{}
	open  atomic.Int64

	mu   sync.Mutex
	next chan struct{} // closed at the next change
}

func newStreams(limit int, state *atomic.Pointer[state], stop <-chan struct{}) *streams {
	return &streams{limit: int64(limit), state: state, stop: stop, next: make(chan struct{})}
}

// changed wakes all streams. A slow one sees several changes as one: the latest.
func (s *streams) changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.next)
	s.next = make(chan struct{})
}

func (s *streams) nextChange() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// serve streams until the client leaves or the agent stops.
func (s *streams) serve(w http.ResponseWriter, r *http.Request) {
	if s.open.Add(1) > s.limit {
		s.open.Add(-1)
		w.Header().Set("Retry-After", strconv.Itoa(retrySeconds))
		writeFailure(w, http.StatusServiceUnavailable, "",
			flagd.Failed(flagd.CodeGeneral, fmt.Errorf("%d event streams are open, which is the limit", s.limit)), nil)
		return
	}
	defer s.open.Add(-1)
	changed := s.nextChange()
	told := configTag(s.state.Load())
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := stream{w: w, control: http.NewResponseController(w)}
	err := out.write("retry: %d\n\n", reconnectMs)
	if last := r.Header.Get("Last-Event-ID"); err == nil && last != "" && last != told {
		err = out.tell(s.state.Load()) // it was away during a change
	}
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for err == nil {
		select {
		case <-changed:
			changed = s.nextChange()
			err = out.tell(s.state.Load())
		case <-alive.C:
			err = out.write(": alive\n\n")
		case <-r.Context().Done():
			return
		case <-door.Draining(r.Context()):
			return
		case <-s.stop:
			return
		}
	}
}

// stream is one client.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// tell sends the event that the document defines: fetch the evaluations again.
func (s *stream) tell(now *state) error {
	return s.write("event: message\nid: %s\ndata: {\"type\":\"refetchEvaluation\",\"etag\":%q,\"lastModified\":%d}\n\n",
		configTag(now), configTag(now), now.at.Unix())
}

func (s *stream) write(format string, args ...any) error {
	// The server's write timeout is that of one answer, not of a stream.
	if err := s.control.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.control.Flush()
}
