// This file reads one record of the partial-span log format, as G-Research's otel-partial-collector and
// the heartbeat processors for .NET, Python and Java write it.

package partialspan

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// Attributes of the format.
const (
	prefix        = "partial."
	eventAttr     = "partial.event"
	frequencyAttr = "partial.frequency" // Go duration between two heartbeats
	bodyTypeAttr  = "partial.body.type"
)

// Values of partial.body.type.
const (
	bodyProto = "proto"   // base64 of the OTLP protobuf; the default
	bodyJSON  = "json/v1" // OTLP JSON
)

// event is what a log tells of its spans.
type event string

const (
	heartbeat event = "heartbeat" // they are open
	stop      event = "stop"      // they have ended
)

// partial is one log that could be read.
type partial struct {
	event event
	spans ptrace.Traces
}

// broken says why a log that claims to hold partial spans could not be read.
type broken struct {
	fault string // a value of the metric attribute "fault"
	err   error
}

func (b *broken) Error() string { return fmt.Sprintf("%s: %v", b.fault, b.err) }
func (b *broken) Unwrap() error { return b.err }

// read reads a record. ok is false for a record that does not claim to hold partial spans; an error,
// always a *broken, says what is wrong with one that does. The record is not changed.
func read(record plog.LogRecord, expiryFactor float64) (p partial, ok bool, err error) {
	name, ok := record.Attributes().Get(eventAttr)
	if !ok {
		return partial{}, false, nil
	}
	p.event = event(name.AsString())
	if p.event != heartbeat && p.event != stop {
		return partial{}, true, &broken{"unknown_event", fmt.Errorf("%s: %q; known are heartbeat and stop", eventAttr, p.event)}
	}
	expiry, err := expiryOf(record, expiryFactor)
	if err != nil {
		return partial{}, true, &broken{"broken_frequency", err}
	}
	if p.spans, err = decode(record); err != nil {
		return partial{}, true, err
	}
	if p.spans.SpanCount() == 0 {
		return partial{}, true, &broken{"no_span", errors.New("the body holds no span")}
	}
	at := timeOf(record)
	forEachSpan(p.spans, func(s ptrace.Span) { p.event.shape(s, at, expiry) })
	return p, true, nil
}

// shape makes a span the half that the event says it is.
func (e event) shape(s ptrace.Span, at pcommon.Timestamp, expiry time.Duration) {
	if e == stop {
		if s.EndTimestamp() == 0 {
			s.SetEndTimestamp(at)
		}
		return
	}
	s.SetEndTimestamp(0)
	if s.StartTimestamp() == 0 {
		s.SetStartTimestamp(at)
	}
	if expiry > 0 {
		s.Attributes().PutInt(attr.HeartbeatNs, int64(expiry))
	}
}

// expiryOf is how long the next heartbeat may take; 0 where the record does not say.
func expiryOf(record plog.LogRecord, factor float64) (time.Duration, error) {
	v, ok := record.Attributes().Get(frequencyAttr)
	if !ok {
		return 0, nil
	}
	frequency, err := time.ParseDuration(v.AsString())
	if err != nil {
		return 0, fmt.Errorf("%s: %w", frequencyAttr, err)
	}
	if frequency <= 0 || frequency > maxFrequency {
		return 0, fmt.Errorf("%s: %s; must be more than 0 and at most %s", frequencyAttr, frequency, maxFrequency)
	}
	return time.Duration(factor * float64(frequency)), nil
}

// maxFrequency keeps the product with the largest expiry factor far from overflow.
const maxFrequency = 24 * time.Hour

func decode(record plog.LogRecord) (ptrace.Traces, error) {
	kind := bodyProto
	if v, ok := record.Attributes().Get(bodyTypeAttr); ok {
		kind = v.AsString()
	}
	var td ptrace.Traces
	var err error
	switch kind {
	case bodyProto:
		td, err = decodeProto(record.Body())
	case bodyJSON:
		td, err = (&ptrace.JSONUnmarshaler{}).UnmarshalTraces([]byte(record.Body().AsString()))
	default:
		return ptrace.Traces{}, &broken{"unknown_body_type", fmt.Errorf("%s: %q; known are %s and %s", bodyTypeAttr, kind, bodyProto, bodyJSON)}
	}
	if err != nil {
		return ptrace.Traces{}, &broken{"broken_body", err}
	}
	return td, nil
}

func decodeProto(body pcommon.Value) (ptrace.Traces, error) {
	raw, err := base64.StdEncoding.DecodeString(body.AsString())
	if err != nil {
		return ptrace.Traces{}, err
	}
	return (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(raw)
}

// timeOf is when a record was written: a span's end where its body does not say.
func timeOf(record plog.LogRecord) pcommon.Timestamp {
	if t := record.Timestamp(); t != 0 {
		return t
	}
	if t := record.ObservedTimestamp(); t != 0 {
		return t
	}
	return pcommon.NewTimestampFromTime(time.Now())
}

// fill gives the spans what they lack of the record's attributes, and their resources what they lack of
// the record's resource.
func (p partial) fill(resource pcommon.Resource, record plog.LogRecord) {
	for _, rs := range p.spans.ResourceSpans().All() {
		for k, v := range resource.Attributes().All() {
			putAbsent(rs.Resource().Attributes(), k, v)
		}
	}
	for k, v := range record.Attributes().All() {
		if strings.HasPrefix(k, prefix) {
			continue
		}
		forEachSpan(p.spans, func(s ptrace.Span) { putAbsent(s.Attributes(), k, v) })
	}
}

func putAbsent(m pcommon.Map, k string, v pcommon.Value) {
	if _, taken := m.Get(k); !taken {
		v.CopyTo(m.PutEmpty(k))
	}
}

func forEachSpan(td ptrace.Traces, do func(ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				do(s)
			}
		}
	}
}
