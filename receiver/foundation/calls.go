package foundation

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// eventCall is the call that a line without "call" makes. Events are gathered, so they are no call below.
const eventCall = "event"

// call is one thing an application may ask for beside emitting events, by a request to its own path or
// by a line of NDJSON that names it.
type call struct {
	path string // of POST
	do   callFunc
}

// callFunc decodes object and does what it says. The error is a *rejection (wrong data) or a *refusal
// (not now). answer is the body of a request's own answer; lines have none.
type callFunc func(ctx context.Context, s *sender, object []byte) (answer any, err error)

// lineCalls are the calls by the name that a line's "call" gives.
func (r *foundationReceiver) lineCalls() map[string]call {
	calls := r.spanCalls()
	maps.Copy(calls, r.contextCalls())
	return calls
}

// serveCall answers one call to its own path.
func serveCall(c call) bodyHandler {
	return func(req *http.Request, s *sender, body []byte) answer {
		result, err := c.do(req.Context(), s, body)
		if err != nil {
			return answerTo(err)
		}
		return answer{status: http.StatusOK, body: result}
	}
}

func (r *foundationReceiver) unknownCall(name string) *rejection {
	known := append(slices.Sorted(maps.Keys(r.calls)), eventCall)
	return &rejection{reasonUnknownCall, fmt.Sprintf("call: %s is not known; allowed are %s", quote(name), strings.Join(known, ", "))}
}

// callOf returns the call that a line names. Only a line that has "call" somewhere is read twice.
func (o *objectReader) callOf(line []byte) (name string, err error) {
	if !bytes.Contains(line, callField) {
		return eventCall, nil
	}
	err = o.read(line, func(field []byte) (err error) {
		if string(field) != "call" {
			return o.dec.SkipValue()
		}
		name, err = o.text("call")
		return err
	})
	if name == "" {
		name = eventCall
	}
	return name, err
}

var callField = []byte(`"call"`)
