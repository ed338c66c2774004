package load

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// spansPerTrace is the size of every trace: a root and its children.
const spansPerTrace = 5

// Half says which times the spans of a request carry.
type half int

const (
	whole half = iota
	start
	end
)

// SpanShape is what the spans of a source look like.
type SpanShape struct {
	// Batch is the spans of a request, a multiple of 5 (a trace).
	Batch int
	// Agent is the resource's agent.id; "" for none.
	Agent string
	// Offset is the number of the first span: sources of different offsets have different ids.
	Offset uint64
}

// Spans makes a source of complete spans, as SDKs send them.
func Spans(name string, shape SpanShape) (*Source, error) { return spanSource(name, shape, whole) }

// Pairs makes a source whose turn is a request of starts and then one of the ends of the same spans.
func Pairs(name string, shape SpanShape) (*Source, error) { return spanSource(name, shape, start, end) }

// Starts makes a source of spans that are never ended.
func Starts(name string, shape SpanShape) (*Source, error) { return spanSource(name, shape, start) }

// Ends makes a source of the ends of what Starts of the same shape starts.
func Ends(name string, shape SpanShape) (*Source, error) { return spanSource(name, shape, end) }

func spanSource(name string, shape SpanShape, halves ...half) (*Source, error) {
	s := &Source{Name: name, Records: shape.Batch, method: tracesMethod, key: Unique, offset: shape.Offset}
	for _, h := range halves {
		t, err := spanTemplate(shape, h)
		if err != nil {
			return nil, err
		}
		s.parts = append(s.parts, t)
	}
	return s, nil
}

func spanTemplate(shape SpanShape, h half) (*template, error) {
	traces := ptrace.NewTraces()
	rs := traces.ResourceSpans().AppendEmpty()
	fillResource(rs.Resource(), shape.Agent)
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("testbed")
	for i := range shape.Batch {
		span := ss.Spans().AppendEmpty()
		span.SetTraceID(traceMark)
		span.SetSpanID(spanMark)
		if h != start {
			span.SetEndTimestamp(pcommon.Timestamp(timeMark))
			span.Status().SetCode(ptrace.StatusCodeOk)
			span.Attributes().PutInt("http.response.status_code", 200)
		}
		if h == end {
			continue
		}
		span.SetStartTimestamp(pcommon.Timestamp(timeMark))
		span.SetName("POST /v1/orders/{id}")
		span.SetKind(ptrace.SpanKindServer)
		if i%spansPerTrace != 0 {
			span.SetParentSpanID(parentMark)
			span.SetKind(ptrace.SpanKindInternal)
		}
		span.Attributes().PutStr("order.id", keyMark)
		span.Attributes().PutStr("http.request.method", "POST")
		span.Attributes().PutStr("http.route", "/v1/orders/{id}")
		span.Attributes().PutStr("error_context.step", "reserve")
	}
	encoded, err := ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto()
	if err != nil {
		return nil, err
	}
	return newTemplate(encoded, shape.Batch)
}
