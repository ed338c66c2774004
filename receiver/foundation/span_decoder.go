package foundation

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// spanFields are the fields that a call's object may have.
type spanFields []string

var (
	withoutValues    = spanFields{"agent_id", "call", "process"}
	withValues       = append(spanFields{"context"}, withoutValues...)
	adoptFields      = append(spanFields{"traceparent", "tracestate"}, withValues...)
	whichSpan        = append(spanFields{"resource", "scope", "span_id", "trace_id"}, withoutValues...)
	attributesFields = append(spanFields{"attributes"}, whichSpan...)
	linkFields       = append(spanFields{"link", "links"}, whichSpan...)
	eventFields      = append(spanFields{"attributes", "name", "timestamp"}, whichSpan...)
	endFields        = append(spanFields{"attributes", "duration_ns", "events", "links", "name", "status", "timestamp"}, whichSpan...)
	startFields      = append(spanFields{"attributes", "events", "heartbeat", "kind", "links", "name", "parent_span_id", "stack", "status", "timestamp", "tracestate"}, whichSpan...)
)

// spanDecoder makes a half span of a call's JSON. It is reused and not for concurrent use.
type spanDecoder struct {
	objectReader

	// What the last decode found beside the half.
	agentID, process string

	allowed    spanFields
	received   time.Time
	half       spans.Half
	attributes xpdata.MapBuilder // of the span, or of the event that the object is
	heartbeat  time.Duration
	duration   int64 // ns; -1 where absent
	unstacked  bool
	timestamp  pcommon.Timestamp
}

var spanDecoders = sync.Pool{New: func() any { return &spanDecoder{} }}

// decode reads the object of a call on a span. received is when it came: its time where it gives none.
func (d *spanDecoder) decode(data []byte, allowed spanFields, received time.Time) (spans.Half, error) {
	d.reset(allowed)
	d.received, d.half = received, spans.NewHalf()
	d.timestamp = pcommon.NewTimestampFromTime(received)
	if err := d.read(data, d.field); err != nil {
		return spans.Half{}, err
	}
	return d.half, d.finish()
}

func (d *spanDecoder) reset(allowed spanFields) {
	d.agentID, d.process, d.allowed = "", "", allowed
	d.attributes, d.heartbeat, d.duration, d.unstacked = xpdata.MapBuilder{}, 0, -1, false
}

// finish gives the half what its call means.
func (d *spanDecoder) finish() error {
	span := d.half.Span
	switch {
	case d.allows("parent_span_id"):
		if span.Name() == "" {
			return invalid("name", "absent; every span has one")
		}
		span.SetStartTimestamp(d.timestamp)
	case d.allows("duration_ns"):
		span.SetEndTimestamp(d.timestamp)
	case d.allows("timestamp"):
		if span.Name() == "" {
			return invalid("name", "absent; every event has one")
		}
		d.toEvent(span)
	}
	d.attributes.UnsafeIntoMap(span.Attributes())
	if d.process != "" && d.allows("parent_span_id") {
		span.Attributes().PutStr(attr.Process, d.process)
	}
	if d.heartbeat > 0 {
		span.Attributes().PutInt(attr.HeartbeatNs, int64(d.heartbeat))
	}
	if d.unstacked {
		span.Attributes().PutBool(attr.Unstacked, true)
	}
	if d.duration >= 0 {
		span.Attributes().PutInt(attr.DurationNs, d.duration)
	}
	return nil
}

// toEvent makes an event of the span's name and attributes.
func (d *spanDecoder) toEvent(span ptrace.Span) {
	event := span.Events().AppendEmpty()
	event.SetName(span.Name())
	event.SetTimestamp(d.timestamp)
	d.attributes.UnsafeIntoMap(event.Attributes())
	d.attributes = xpdata.MapBuilder{}
	span.SetName("")
}

func (d *spanDecoder) allows(field string) bool { return slices.Contains(d.allowed, field) }

// field reads one field.
func (d *spanDecoder) field(name []byte) (err error) {
	if !d.allows(string(name)) {
		return &rejection{reasonUnknownField, fmt.Sprintf("field %s is not known; allowed are %s", quote(string(name)), strings.Join(d.allowed, ", "))}
	}
	span := d.half.Span
	switch string(name) {
	case "call":
		return d.dec.SkipValue()
	case "agent_id":
		d.agentID, err = d.identifier("agent_id")
	case "process":
		d.process, err = d.identifier("process")
	case "trace_id":
		var id pcommon.TraceID
		err = d.hexID("trace_id", id[:])
		span.SetTraceID(id)
	case "span_id":
		var id pcommon.SpanID
		err = d.hexID("span_id", id[:])
		span.SetSpanID(id)
	case "parent_span_id":
		var id pcommon.SpanID
		err = d.hexID("parent_span_id", id[:])
		span.SetParentSpanID(id)
	case "name":
		var s string
		s, err = d.identifier("name")
		span.SetName(s)
	case "kind":
		return d.kind(span)
	case "tracestate":
		var s string
		s, err = d.identifier("tracestate")
		span.TraceState().FromRaw(s)
	case "timestamp":
		return d.time("timestamp", d.received, &d.timestamp)
	case "duration_ns":
		return d.durationNs()
	case "heartbeat":
		return d.heartbeatEvery()
	case "stack":
		return d.stack()
	case "status":
		return d.status(span.Status())
	case "attributes":
		return d.attributesField("attributes", &d.attributes)
	case "resource":
		return d.mapField("resource", d.half.Resource.Attributes())
	case "scope":
		return d.scope(d.half.Scope)
	case "events":
		return d.each("events", func() error { return d.event(span.Events().AppendEmpty()) })
	case "links":
		return d.each("links", func() error { return d.link(span.Links().AppendEmpty()) })
	case "link":
		return d.link(span.Links().AppendEmpty())
	}
	return err
}

// stack reads whether the span stands on its process's stack: it does, unless told otherwise.
func (d *spanDecoder) stack() error {
	token, err := d.dec.ReadToken()
	if err != nil {
		return err
	}
	switch kind := token.Kind(); kind {
	case 'f':
		d.unstacked = true
	case 't', 'n':
	default:
		return invalid("stack", "%s is not allowed; give true or false", kindName(kind))
	}
	return nil
}

// kinds of span, by the names that OpenTelemetry gives them.
var kinds = map[string]ptrace.SpanKind{
	"": ptrace.SpanKindUnspecified, "internal": ptrace.SpanKindInternal, "server": ptrace.SpanKindServer,
	"client": ptrace.SpanKindClient, "producer": ptrace.SpanKindProducer, "consumer": ptrace.SpanKindConsumer,
}

func (d *spanDecoder) kind(span ptrace.Span) error {
	s, err := d.text("kind")
	if err != nil {
		return err
	}
	kind, ok := kinds[strings.ToLower(s)]
	if !ok {
		return invalid("kind", "%s is not allowed; give internal, server, client, producer or consumer", quote(s))
	}
	span.SetKind(kind)
	return nil
}

// statuses of a span, by the names that OpenTelemetry gives them.
var statuses = map[string]ptrace.StatusCode{
	"": ptrace.StatusCodeUnset, "unset": ptrace.StatusCodeUnset, "ok": ptrace.StatusCodeOk, "error": ptrace.StatusCodeError,
}

// status reads "error", or {"code": "error", "message": "what happened"}.
func (d *spanDecoder) status(status ptrace.Status) error {
	if d.dec.PeekKind() != '{' {
		return d.statusCode(status)
	}
	return d.fields("status", func(name []byte) error {
		switch string(name) {
		case "code":
			return d.statusCode(status)
		case "message":
			message, err := d.text("status.message")
			status.SetMessage(message)
			return err
		}
		return unknownField("status", name, "code and message")
	})
}

func (d *spanDecoder) statusCode(status ptrace.Status) error {
	s, err := d.text("status")
	if err != nil {
		return err
	}
	code, ok := statuses[strings.ToLower(s)]
	if !ok {
		return invalid("status", "%s is not allowed; give unset, ok or error", quote(s))
	}
	status.SetCode(code)
	return nil
}

func (d *spanDecoder) durationNs() error {
	raw, err := d.dec.ReadValue()
	if err != nil || raw.Kind() == 'n' {
		return err
	}
	var v = pcommon.NewValueEmpty()
	if raw.Kind() == '0' {
		if err := number(v, raw); err != nil {
			return err
		}
	}
	if v.Type() != pcommon.ValueTypeInt || v.Int() < 0 {
		return invalid("duration_ns", "%s is not allowed; give whole nanoseconds, 0 or more", quote(string(raw)))
	}
	d.duration = v.Int()
	return nil
}

func (d *spanDecoder) heartbeatEvery() error {
	s, err := d.text("heartbeat")
	if err != nil || s == "" {
		return err
	}
	if d.heartbeat, err = time.ParseDuration(s); err != nil || d.heartbeat <= 0 {
		return invalid("heartbeat", "%s is not allowed; give how long the next sign of life may take, as \"30s\"", quote(s))
	}
	return nil
}

func (d *spanDecoder) scope(scope pcommon.InstrumentationScope) error {
	return d.fields("scope", func(name []byte) error {
		switch string(name) {
		case "name":
			s, err := d.identifier("scope.name")
			scope.SetName(s)
			return err
		case "version":
			s, err := d.identifier("scope.version")
			scope.SetVersion(s)
			return err
		case "attributes":
			return d.mapField("scope.attributes", scope.Attributes())
		}
		return unknownField("scope", name, "name, version and attributes")
	})
}

func (d *spanDecoder) event(event ptrace.SpanEvent) error {
	event.SetTimestamp(pcommon.NewTimestampFromTime(d.received))
	return d.fields("events", func(name []byte) error {
		switch string(name) {
		case "name":
			s, err := d.identifier("events.name")
			event.SetName(s)
			return err
		case "timestamp":
			at := event.Timestamp()
			err := d.time("events.timestamp", d.received, &at)
			event.SetTimestamp(at)
			return err
		case "attributes":
			return d.mapField("events.attributes", event.Attributes())
		}
		return unknownField("events", name, "name, timestamp and attributes")
	})
}

func (d *spanDecoder) link(link ptrace.SpanLink) error {
	var trace pcommon.TraceID
	var span pcommon.SpanID
	err := d.fields("links", func(name []byte) error {
		switch string(name) {
		case "trace_id":
			return d.hexID("links.trace_id", trace[:])
		case "span_id":
			return d.hexID("links.span_id", span[:])
		case "tracestate":
			s, err := d.identifier("links.tracestate")
			link.TraceState().FromRaw(s)
			return err
		case "attributes":
			return d.mapField("links.attributes", link.Attributes())
		}
		return unknownField("links", name, "trace_id, span_id, tracestate and attributes")
	})
	if err == nil && (trace.IsEmpty() || span.IsEmpty()) {
		err = invalid("links", "a link needs trace_id and span_id")
	}
	link.SetTraceID(trace)
	link.SetSpanID(span)
	return err
}

// decodeContext reads the object of a call on a context.
func (d *spanDecoder) decodeContext(data []byte, allowed spanFields) (pcommon.Map, error) {
	d.reset(allowed)
	values := pcommon.NewMap()
	given := false
	err := d.read(data, func(name []byte) error {
		if string(name) == "context" && d.allows("context") {
			given = true
			return d.mapField("context", values)
		}
		return d.field(name)
	})
	if err == nil && d.allows("context") && !given {
		err = invalid("context", "absent; give an object of values")
	}
	return values, err
}

// decodeAdopt reads the object of an adoption: what propagate has answered.
func (d *spanDecoder) decodeAdopt(data []byte) (p spans.Propagation, err error) {
	d.reset(adoptFields)
	p.Context = pcommon.NewMap()
	err = d.read(data, func(name []byte) error {
		switch string(name) {
		case "traceparent":
			return d.traceparent(&p)
		case "tracestate":
			s, err := d.identifier("tracestate")
			p.TraceState = s
			return err
		case "context":
			return d.mapField("context", p.Context)
		}
		return d.field(name)
	})
	if err == nil && p.TraceID.IsEmpty() {
		err = invalid("traceparent", "absent; give what /v1/spans/propagate has answered")
	}
	return p, err
}
