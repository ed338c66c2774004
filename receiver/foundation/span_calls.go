package foundation

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// spanCalls are the calls that start, change and end spans. The table of open spans decides ids, parents
// and stacks; here their objects are decoded and its answers put into words.
func (r *foundationReceiver) spanCalls() map[string]call {
	return map[string]call{
		"span.start":      {"/v1/spans/start", r.onSpan(startFields, r.startSpan)},
		"span.end":        {"/v1/spans/end", r.onSpan(endFields, spans.Table.EndSpan)},
		"span.attributes": {"/v1/spans/attributes", r.onSpan(attributesFields, spans.Table.UpdateSpan)},
		"span.event":      {"/v1/spans/event", r.onSpan(eventFields, spans.Table.UpdateSpan)},
		"span.link":       {"/v1/spans/link", r.onSpan(linkFields, spans.Table.UpdateSpan)},
		"span.adopt":      {"/v1/spans/adopt", r.adopt},
	}
}

// spanRef is what a call on a span is answered with.
type spanRef struct {
	TraceID  string `json:"trace_id"`
	SpanID   string `json:"span_id"`
	ParentID string `json:"parent_span_id,omitempty"`
	// Waiting: the span is not open yet; what was sent is held until its start comes.
	Waiting bool `json:"waiting,omitempty"`
}

func refOf(ref spans.Ref) spanRef {
	out := spanRef{TraceID: ref.TraceID.String(), SpanID: ref.SpanID.String(), Waiting: ref.Waiting}
	if !ref.ParentID.IsEmpty() {
		out.ParentID = ref.ParentID.String()
	}
	return out
}

// onSpan is a call that gives a half span to the table.
func (r *foundationReceiver) onSpan(allowed spanFields, do func(spans.Table, spans.Sender, spans.Half) (spans.Ref, error)) callFunc {
	return func(ctx context.Context, _ *sender, object []byte) (any, error) {
		if r.spans == nil {
			return nil, errNoSpans
		}
		d := spanDecoders.Get().(*spanDecoder)
		defer spanDecoders.Put(d)
		half, err := d.decode(object, allowed, time.Now())
		if err != nil {
			return nil, err
		}
		s := r.identify(ctx, d.agentID, d.process, half.Resource)
		ref, err := do(r.spans, s, half)
		if err != nil {
			return nil, spanError(err)
		}
		return refOf(ref), nil
	}
}

// startSpan starts a span, unless enforcement refuses it. What comes later of a span is always taken: its
// end is the truth about it.
func (r *foundationReceiver) startSpan(table spans.Table, s spans.Sender, half spans.Half) (spans.Ref, error) {
	agentID := s.Agent
	if claimed, ok := half.Resource.Attributes().Get(attr.AgentID); ok {
		agentID = claimed.AsString()
	}
	if err := r.enforce(&sender{}, agentID, half.Span.Attributes()); err != nil {
		return spans.Ref{}, err
	}
	return table.StartSpan(s, half)
}

// identify finds out on whose behalf a call comes, and says so on the resource of what it makes.
func (r *foundationReceiver) identify(ctx context.Context, agentID, process string, resource pcommon.Resource) spans.Sender {
	s := r.spans.Sender(ctx, agentID, process)
	switch {
	case s.Proven():
		resource.Attributes().PutStr(attr.AgentID, s.Agent)
	case agentID != "":
		resource.Attributes().PutStr(attr.AgentID, agentID)
		resource.Attributes().PutBool(attr.Unproven, true)
	}
	return s
}

// propagation is what one process hands to another that continues its work: W3C traceparent and
// tracestate, and the error context.
type propagation struct {
	Traceparent string         `json:"traceparent"`
	Tracestate  string         `json:"tracestate,omitempty"`
	TraceID     string         `json:"trace_id"`
	SpanID      string         `json:"span_id"`
	Context     map[string]any `json:"context"`
}

// adopt makes a propagated span the parent of the process's first.
func (r *foundationReceiver) adopt(ctx context.Context, _ *sender, object []byte) (any, error) {
	if r.spans == nil {
		return nil, errNoSpans
	}
	d := spanDecoders.Get().(*spanDecoder)
	defer spanDecoders.Put(d)
	p, err := d.decodeAdopt(object)
	if err != nil {
		return nil, err
	}
	if err := r.spans.Adopt(r.spans.Sender(ctx, d.agentID, d.process), p); err != nil {
		return nil, spanError(err)
	}
	return spanRef{TraceID: p.TraceID.String(), SpanID: p.SpanID.String()}, nil
}

// spanRoutes are the calls that only ask.
func (r *foundationReceiver) spanRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/spans/current", r.question("span.current", func(s spans.Sender) (any, error) {
		ref, err := r.spans.Current(s)
		return refOf(ref), err
	}))
	mux.Handle("GET /v1/spans/propagate", r.question("span.propagate", func(s spans.Sender) (any, error) {
		p, err := r.spans.Propagate(s)
		if err != nil {
			return nil, err
		}
		return propagation{
			Traceparent: traceparent(p),
			Tracestate:  p.TraceState,
			TraceID:     p.TraceID.String(),
			SpanID:      p.SpanID.String(),
			Context:     p.Context.AsRaw(),
		}, nil
	}))
	mux.Handle("GET /v1/context", r.question("context.get", func(s spans.Sender) (any, error) {
		values, err := r.spans.Context(s)
		if err != nil {
			return nil, err
		}
		return contextAnswer{values.AsRaw()}, nil
	}))
}

// question answers a GET whose query names the agent and the process.
func (r *foundationReceiver) question(name string, ask func(spans.Sender) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		a := r.answerQuestion(req, ask)
		r.telemetry.answered(req.Context(), name, a)
		a.write(w)
	})
}

func (r *foundationReceiver) answerQuestion(req *http.Request, ask func(spans.Sender) (any, error)) answer {
	if r.spans == nil {
		return answerTo(errNoSpans)
	}
	ctx := door.WithCaller(req.Context(), door.CallerOf(req))
	query := req.URL.Query()
	result, err := ask(r.spans.Sender(ctx, query.Get("agent_id"), query.Get("process")))
	if err != nil {
		return answerTo(spanError(err))
	}
	return answer{status: http.StatusOK, body: result}
}

// traceparent is the header of that name (W3C Trace Context, level 1, section 3.2).
func traceparent(p spans.Propagation) string {
	flags := "00"
	if p.Sampled {
		flags = "01"
	}
	return "00-" + hex.EncodeToString(p.TraceID[:]) + "-" + hex.EncodeToString(p.SpanID[:]) + "-" + flags
}
