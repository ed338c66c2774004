package foundation

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

// taken says what became of a request's events.
type taken struct {
	Accepted int         `json:"accepted"`
	Rejected int         `json:"rejected"`
	Errors   []lineError `json:"errors"`
	// ErrorsOmitted is how many rejections Errors has no room for.
	ErrorsOmitted int `json:"errors_omitted,omitempty"`
}

// lineError is why a line was rejected.
type lineError struct {
	Line    int    `json:"line"` // from 1, blank lines counted
	Code    reason `json:"code"`
	Message string `json:"message"`
}

// maxErrors is how many rejections an answer lists.
const maxErrors = 100

// stopped is the detail of an answer to a request that could not be taken to its end.
type stopped struct {
	// Consumed lines, from the first, are done with, accepted or rejected. The next request starts after them.
	Consumed int `json:"consumed"`
	taken
}

// serveEvents takes one event, or a call a line.
func (r *foundationReceiver) serveEvents(req *http.Request, s *sender, body []byte) answer {
	in := intakes.Get().(*intake)
	*in = intake{r: r, s: s, decoder: in.decoder, now: time.Now(), chunk: newChunk(), done: taken{Errors: []lineError{}}}
	defer func() {
		*in = intake{decoder: in.decoder}
		intakes.Put(in)
	}()
	if !door.IsNDJSON(req.Header.Get("Content-Type")) {
		return in.takeOne(req.Context(), body)
	}
	err := in.takeLines(req.Context(), body)
	if err == nil {
		return answer{status: http.StatusAccepted, body: in.done}
	}
	a := answerTo(err)
	e := a.body.(errorBody)
	e.Error.Details = stopped{in.consumed, in.done}
	a.body = e
	return a
}

// intake takes a request's lines in order. What it says is done is done: the rejections among the lines of
// a chunk count when the chunk has been taken.
type intake struct {
	r       *foundationReceiver
	s       *sender
	decoder *eventDecoder
	now     time.Time

	line     int // the one being taken, from 1
	chunk    *chunk
	rejected []lineError // since the last chunk was taken
	stripped int         // likewise

	done     taken
	consumed int
}

var intakes = sync.Pool{New: func() any { return &intake{decoder: newEventDecoder()} }}

// takeOne takes the body as one event.
func (in *intake) takeOne(ctx context.Context, body []byte) answer {
	in.line = 1
	if err := in.event(body); err != nil {
		in.reject(err)
	}
	if err := in.flush(ctx); err != nil {
		return answerTo(err)
	}
	if in.done.Rejected > 0 {
		e := in.done.Errors[0]
		return answerTo(&rejection{e.Code, e.Message})
	}
	return answer{status: http.StatusAccepted, body: in.done}
}

// takeLines takes a call from each line. The error is a *refusal: the rest was not taken.
func (in *intake) takeLines(ctx context.Context, body []byte) error {
	for len(body) > 0 {
		var line []byte
		line, body, _ = bytes.Cut(body, newline)
		in.line++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := in.take(ctx, line); err != nil {
			return err
		}
		if len(in.chunk.lines) == chunkRecords {
			if err := in.flush(ctx); err != nil {
				return err
			}
		}
	}
	return in.flush(ctx)
}

var newline = []byte{'\n'}

// take takes one line. The error is a *refusal.
func (in *intake) take(ctx context.Context, line []byte) error {
	name, err := in.decoder.callOf(line)
	if err == nil && name == eventCall {
		err = in.event(line)
	} else if err == nil {
		err = in.call(ctx, name, line)
	}
	var refused *refusal
	if errors.As(err, &refused) {
		return err
	}
	if err != nil {
		in.reject(err)
	}
	return nil
}

// event adds an event to the chunk.
func (in *intake) event(line []byte) error {
	d := in.decoder
	if err := d.decode(line, in.now); err != nil {
		return err
	}
	in.stripped += d.stripped
	agentID, unproven := in.s.identity(d.agentID)
	if err := in.r.enforce(in.s, agentID, d.record.Attributes()); err != nil {
		return err
	}
	in.chunk.add(agentID, unproven, d, in.line)
	return nil
}

// call does what is not an event, after the events before it.
func (in *intake) call(ctx context.Context, name string, line []byte) error {
	c, ok := in.r.calls[name]
	if !ok {
		return in.r.unknownCall(name)
	}
	in.line-- // a flush is of the lines before this one
	err := in.flush(ctx)
	in.line++
	if err != nil {
		return err
	}
	if _, err := c.do(ctx, in.s, line); err != nil {
		return err
	}
	in.done.Accepted++
	in.consumed = in.line
	return nil
}

// reject notes why the present line is not taken.
func (in *intake) reject(err error) {
	var rejected *rejection
	if !errors.As(err, &rejected) {
		rejected = &rejection{reasonInvalidField, err.Error()}
	}
	in.rejected = append(in.rejected, lineError{in.line, rejected.reason, rejected.message})
}

// flush gives the chunk to the pipeline. The error is a *refusal, and the chunk's lines are not done.
func (in *intake) flush(ctx context.Context) error {
	if records := len(in.chunk.lines); records > 0 {
		err := in.r.logs.consume(ctx, in.chunk.logs)
		var rejected *rejection
		switch {
		case err == nil:
			in.done.Accepted += records
			in.r.telemetry.took(in.chunk)
		case errors.As(err, &rejected):
			for _, line := range in.chunk.lines {
				in.rejected = append(in.rejected, lineError{line, rejected.reason, rejected.message})
			}
		default:
			in.r.telemetry.refused.Add(int64(records))
			return err
		}
	}
	in.settle()
	return nil
}

// settle makes what was gathered up to the present line done.
func (in *intake) settle() {
	for _, l := range in.rejected {
		in.r.telemetry.rejected[l.Code].Add(1)
		in.done.Rejected++
		if len(in.done.Errors) < maxErrors {
			in.done.Errors = append(in.done.Errors, l)
		} else {
			in.done.ErrorsOmitted++
		}
	}
	in.r.telemetry.stripped.Add(int64(in.stripped))
	in.rejected, in.stripped = in.rejected[:0], 0
	in.consumed = in.line
	if len(in.chunk.lines) > 0 {
		in.chunk = newChunk()
	}
}
