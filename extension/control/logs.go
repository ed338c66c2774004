// This file streams log records, as they leave the components that have a tap, to an operator who looks.

package control

import (
	"fmt"
	"net/http"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

const (
	// maxGrep bounds the pattern, which runs once a record (RE2: in linear time).
	maxGrep = 1024
	// tapBuffer is how many records wait for a slow operator.
	tapBuffer = 1000
)

func (r *registry) logRoutes() []operator.Route {
	return []operator.Route{{Pattern: "GET /v1/logs/tail", Handler: r.serveTail}}
}

// serveTail answers with server-sent events: `data` is an operator.TapRecord, and an event of type
// "skipped" has the number of records that came too fast. Parameters: grep, a regular expression;
// from, names of taps.
func (r *registry) serveTail(w http.ResponseWriter, req *http.Request) {
	pattern := req.URL.Query().Get("grep")
	grep, err := regexp.Compile(pattern)
	if err != nil || len(pattern) > maxGrep {
		door.WriteError(w, http.StatusBadRequest, door.Error{
			Code: "invalid_parameter", Message: fmt.Sprintf("grep is no regular expression of at most %d bytes: %v", maxGrep, err),
		})
		return
	}
	if pattern == "" {
		grep = nil
	}
	taps := r.listTaps()
	if len(taps) == 0 {
		door.WriteError(w, http.StatusNotFound, door.Error{
			Code: "no_tap", Message: "no component shows its records: set control on span_lifecycle in a logs pipeline",
		})
		return
	}
	records := make(chan operator.TapRecord, tapBuffer)
	var skipped atomic.Uint64
	for _, tap := range taps {
		defer tap.Watch(grep, records, &skipped)()
	}
	streamRecords(req, newEventStream(w), records, &skipped)
}

func streamRecords(req *http.Request, out *eventStream, records <-chan operator.TapRecord, skipped *atomic.Uint64) {
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	err := out.comment("watching")
	for err == nil {
		select {
		case <-req.Context().Done():
			return
		case <-door.Draining(req.Context()):
			return
		case record := <-records:
			err = out.send("", record)
		case <-beat.C:
			err = out.comment("beat")
		}
		if n := skipped.Swap(0); err == nil && n > 0 {
			err = out.send("skipped", n)
		}
	}
}
