// This file streams events to a client (server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html).

package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
)

const (
	// writeWait is how long a watcher may leave what was sent unread.
	writeWait = 5 * time.Second
	// keepAlive finds out watchers whose connection is dead, and tells them that we are not.
	keepAlive = 15 * time.Second
)

// serveWatch replays what is and what went down lately, then tells what happens, until the client goes,
// does not read, or reads are switched off.
func (a *api) serveWatch(callerOf func(*http.Request) caller) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		c := callerOf(r)
		leave, err := a.watchAllowed(c, r)
		if err != nil {
			a.count(r.Context(), opWatch, a.fail(w, err), time.Since(start))
			return
		}
		defer leave()
		a.count(r.Context(), opWatch, outcomeOK, time.Since(start))
		s := newSubscriber(a.cfg.Limits.WatcherBuffer)
		replay := a.subscribe(s)
		defer a.hub.unsubscribe(s)
		st := stream{w: w, control: http.NewResponseController(w)}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
		a.stream(r.Context(), st, s, replay)
	}
}

// watchAllowed counts a watcher in, if there is room; leave counts it out.
func (a *api) watchAllowed(c caller, r *http.Request) (leave func(), err error) {
	if !a.flag.Enabled() && !mayReadShadow(c, r) {
		a.tally.shadowReads.Add(1)
		return nil, disabled(a.flag.Name())
	}
	return a.streams.enter(c.account(), &a.cfg.Limits)
}

// stream writes until there is a reason to stop; each is the client's to see by the end of the stream.
func (a *api) stream(ctx context.Context, st stream, s *subscriber, replay []agents.Event) {
	if st.send(replay...) != nil {
		return
	}
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-door.Draining(ctx):
			return
		case <-alive.C:
			if st.comment("alive") != nil {
				return
			}
		case <-s.ready:
			events, reading := s.take()
			if !reading {
				_ = st.comment("disconnected: you did not read") // it may read this much later
				return
			}
			if st.send(events...) != nil {
				return
			}
			if len(events) > 0 && events[len(events)-1].Type == agents.EventReadsDisabled {
				return
			}
		}
	}
}

// stream is the response of one watcher.
type stream struct {
	w       io.Writer
	control *http.ResponseController
}

func (st stream) send(events ...agents.Event) error {
	for i := range events {
		e := &events[i]
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if i%64 == 0 { // a long replay may take longer than one wait
			if err := st.control.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(st.w, "id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Type, data); err != nil {
			return err
		}
	}
	return st.control.Flush()
}

func (st stream) comment(text string) error {
	if err := st.control.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(st.w, ": %s\n\n", text); err != nil {
		return err
	}
	return st.control.Flush()
}
