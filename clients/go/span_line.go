package foundation

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// spanLine is one call at the applications' door: span.start, which says again what it said when it is a
// heartbeat, or span.end.
type spanLine struct {
	Call       string         `json:"call"`
	AgentID    string         `json:"agent_id"`
	TraceID    string         `json:"trace_id"`
	SpanID     string         `json:"span_id"`
	ParentID   string         `json:"parent_span_id,omitempty"`
	Name       string         `json:"name"`
	Kind       string         `json:"kind,omitempty"`
	Tracestate string         `json:"tracestate,omitempty"`
	Stack      *bool          `json:"stack,omitempty"`
	Heartbeat  string         `json:"heartbeat,omitempty"`
	Timestamp  int64          `json:"timestamp"` // unix ns
	DurationNs *int64         `json:"duration_ns,omitempty"`
	Status     *spanStatus    `json:"status,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
	Events     []spanEvent    `json:"events,omitempty"`
	Links      []spanLink     `json:"links,omitempty"`
	Resource   map[string]any `json:"resource,omitempty"`
	Scope      *spanScope     `json:"scope,omitempty"`
}

type spanStatus struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
}

type spanEvent struct {
	Name       string         `json:"name"`
	Timestamp  int64          `json:"timestamp"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

type spanLink struct {
	TraceID    string         `json:"trace_id"`
	SpanID     string         `json:"span_id"`
	Tracestate string         `json:"tracestate,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

type spanScope struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

var noStack = false

// startOf reports that a span is open. Each line says all there is to say of its span: it may be the last
// that the agent hears of it.
func (p *SpanProcessor) startOf(s sdktrace.ReadOnlySpan) spanLine {
	l := p.lineOf("span.start", s)
	if s.Parent().SpanID().IsValid() {
		l.ParentID = s.Parent().SpanID().String()
	}
	if s.SpanKind() != trace.SpanKindUnspecified {
		l.Kind = s.SpanKind().String()
	}
	l.Tracestate = s.SpanContext().TraceState().String()
	l.Stack = &noStack // the SDK has decided the parent
	if p.heartbeat > 0 {
		l.Heartbeat = (heartbeatsMissed * p.heartbeat).String()
	}
	l.Timestamp = s.StartTime().UnixNano()
	return l
}

// endOf reports that a span has ended.
func (p *SpanProcessor) endOf(s sdktrace.ReadOnlySpan) spanLine {
	l := p.lineOf("span.end", s)
	l.Timestamp = s.EndTime().UnixNano()
	d := int64(s.EndTime().Sub(s.StartTime())) // monotonic, as the SDK keeps it
	l.DurationNs = &d
	return l
}

func (p *SpanProcessor) lineOf(call string, s sdktrace.ReadOnlySpan) spanLine {
	return spanLine{
		Call:       call,
		AgentID:    p.client.agentID(),
		TraceID:    s.SpanContext().TraceID().String(),
		SpanID:     s.SpanContext().SpanID().String(),
		Name:       s.Name(),
		Attributes: attributesOf(s.Attributes()),
		Resource:   attributesOf(s.Resource().Attributes()),
		Scope:      &spanScope{s.InstrumentationScope().Name, s.InstrumentationScope().Version},
		Events:     eventsOf(s),
		Links:      linksOf(s),
		Status:     statusOf(s),
	}
}

func statusOf(s sdktrace.ReadOnlySpan) *spanStatus {
	switch s.Status().Code {
	case codes.Ok:
		return &spanStatus{Code: "ok"}
	case codes.Error:
		return &spanStatus{Code: "error", Message: s.Status().Description}
	default:
		return nil
	}
}

func eventsOf(s sdktrace.ReadOnlySpan) []spanEvent {
	var out []spanEvent
	for _, e := range s.Events() {
		out = append(out, spanEvent{e.Name, e.Time.UnixNano(), attributesOf(e.Attributes)})
	}
	return out
}

func linksOf(s sdktrace.ReadOnlySpan) []spanLink {
	var out []spanLink
	for _, l := range s.Links() {
		out = append(out, spanLink{
			l.SpanContext.TraceID().String(), l.SpanContext.SpanID().String(),
			l.SpanContext.TraceState().String(), attributesOf(l.Attributes),
		})
	}
	return out
}

func attributesOf(kvs []attribute.KeyValue) map[string]any {
	if len(kvs) == 0 {
		return nil
	}
	out := make(map[string]any, len(kvs))
	for _, kv := range kvs {
		switch kv.Value.Type() {
		case attribute.FLOAT64:
			out[string(kv.Key)] = double(kv.Value.AsFloat64())
		case attribute.FLOAT64SLICE:
			var all []any
			for _, f := range kv.Value.AsFloat64Slice() {
				all = append(all, double(f))
			}
			out[string(kv.Key)] = all
		default:
			out[string(kv.Key)] = kv.Value.AsInterface()
		}
	}
	return out
}

// double writes a float64 so that it is read as one again: JSON has but one kind of number, and none that
// is infinite or not a number.
func double(f float64) any {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	switch {
	case math.IsInf(f, 0) || math.IsNaN(f):
		return text
	case !strings.ContainsAny(text, ".e"):
		text += ".0"
	}
	return json.Number(text)
}
