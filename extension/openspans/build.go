// This file makes whole spans of entries that leave.

package openspans

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// buildTraces returns the whole spans of entries in their order; neighbours of one resource and scope
// share them. One pass of the protobuf decoder joins their halves.
func buildTraces(entries []*entry) (ptrace.Traces, error) {
	var raw, scopeSpans []byte
	for first := 0; first < len(entries); {
		sh := entries[first].shape
		scopeSpans = append(scopeSpans[:0], sh.scope...)
		next := first
		for ; next < len(entries) && entries[next].shape == sh; next++ {
			e := entries[next]
			scopeSpans = protowire.AppendTag(scopeSpans, fieldSpans, protowire.BytesType)
			scopeSpans = protowire.AppendVarint(scopeSpans, uint64(len(e.base)+len(e.more)))
			scopeSpans = append(append(scopeSpans, e.base...), e.more...)
		}
		// resource and scope_spans are the fields of one ResourceSpans
		inner := len(sh.resource) + protowire.SizeTag(fieldScopeSpans) + protowire.SizeBytes(len(scopeSpans))
		raw = protowire.AppendTag(raw, fieldResourceSpans, protowire.BytesType)
		raw = protowire.AppendVarint(raw, uint64(inner))
		raw = appendMessage(append(raw, sh.resource...), fieldScopeSpans, scopeSpans)
		first = next
	}
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(raw)
	if err != nil {
		return td, err
	}
	next := 0
	for _, rs := range td.ResourceSpans().All() {
		for _, s := range rs.ScopeSpans().At(0).Spans().All() {
			complete(s, entries[next])
			next++
		}
	}
	return td, nil
}

// decodeSpan returns the span of the bytes of an OTLP Span.
func decodeSpan(raw []byte) (ptrace.Span, error) {
	message := appendMessage(nil, fieldSpans, raw)
	message = appendMessage(nil, fieldScopeSpans, message)
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(appendMessage(nil, fieldResourceSpans, message))
	if err != nil {
		return ptrace.Span{}, err
	}
	return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0), nil
}

// complete gives a span what its entry holds as fields, and the marks of how it ended.
func complete(s ptrace.Span, e *entry) {
	s.SetTraceID(e.trace)
	s.SetSpanID(e.span)
	s.SetParentSpanID(e.parent)
	if len(e.more) > 0 {
		keepLast(s.Attributes())
		dropRepeats(s)
	}
	start, end := e.times()
	s.SetStartTimestamp(pcommon.Timestamp(start))
	s.SetEndTimestamp(pcommon.Timestamp(end))
	if e.context != nil && e.context.merged != nil {
		putAbsent(s.Attributes(), *e.context.merged)
	}
	if e.start == 0 {
		s.Attributes().PutBool(attr.StartMissing, true)
	}
	if e.reason != normal {
		markForced(s, e)
	}
}

// times are a span's start and end. The end is never before the start; the caller's monotonic duration
// counts where it was given, for a clock may have stepped between the two.
func (e *entry) times() (start, end int64) {
	switch {
	case e.reason != normal:
		return e.start, max(e.start, e.closed)
	case e.start == 0:
		return e.end - max(0, e.duration), e.end
	case e.duration >= 0:
		return e.start, e.start + e.duration
	default:
		return e.start, max(e.start, e.end)
	}
}

// markForced says on a span that it did not end by itself, and why.
func markForced(s ptrace.Span, e *entry) {
	s.Status().SetCode(ptrace.StatusCodeError)
	s.Status().SetMessage(forcedText[e.reason])
	openFor := max(0, e.closed-e.start)
	s.Attributes().PutStr(attr.EndReason, e.reason.String())
	s.Attributes().PutInt(attr.OpenDurationNs, openFor)
	ev := s.Events().AppendEmpty()
	ev.SetName(forcedEvent)
	ev.SetTimestamp(s.EndTimestamp())
	ev.Attributes().PutStr(attr.EndReason, e.reason.String())
	ev.Attributes().PutStr("message", forcedText[e.reason])
}

// forcedEvent is the name of the span event that a forced end leaves.
const forcedEvent = "foundation.span.forced_end"

// forcedText says what happened, by reason.
var forcedText = [reasonCount]string{
	agentDown:     "the process that opened this span has died",
	processDown:   "the process within the agent that opened this span has ended",
	timedOut:      "the span was open longer than the timeout allows",
	heartbeatLost: "the heartbeat of this span stopped",
	evicted:       "the table of open spans was full; the oldest had to leave",
	agentShutdown: "the telemetry agent shut down while this span was open",
}

// dropRepeats leaves each event and link once: a sender whose end says all says again what its start said.
func dropRepeats(s ptrace.Span) {
	if s.Events().Len() > 1 {
		type event struct {
			at   pcommon.Timestamp
			name string
		}
		seen := make(map[event]bool, s.Events().Len())
		s.Events().RemoveIf(func(e ptrace.SpanEvent) bool {
			k := event{e.Timestamp(), e.Name()}
			known := seen[k]
			seen[k] = true
			return known
		})
	}
	if s.Links().Len() > 1 {
		seen := make(map[key]bool, s.Links().Len())
		s.Links().RemoveIf(func(l ptrace.SpanLink) bool {
			k := key{l.TraceID(), l.SpanID()}
			known := seen[k]
			seen[k] = true
			return known
		})
	}
}

// keepLast leaves of attributes with one key the last: halves are joined by writing one after another.
func keepLast(m pcommon.Map) {
	const few = 12
	if m.Len() > few {
		keepLastOfMany(m)
		return
	}
	var keys [few]string
	n := 0
	for k := range m.All() {
		keys[n] = k
		n++
	}
	at := 0
	m.RemoveIf(func(k string, _ pcommon.Value) bool {
		at++
		for _, later := range keys[at:n] {
			if later == k {
				return true
			}
		}
		return false
	})
}

func keepLastOfMany(m pcommon.Map) {
	last := make(map[string]int, m.Len())
	at := 0
	for k := range m.All() {
		last[k] = at
		at++
	}
	at = 0
	m.RemoveIf(func(k string, _ pcommon.Value) bool {
		at++
		return last[k] != at-1
	})
}
