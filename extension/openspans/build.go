// This file makes whole spans of entries that leave.

package openspans

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// buildTraces returns the whole spans of entries in their order; neighbours of one resource and scope share
// them. The entries keep the bytes only: the traces are the next consumer's, and where it does not take them,
// the spans are read from the bytes again.
func buildTraces(entries []*entry) (ptrace.Traces, error) {
	td := ptrace.NewTraces()
	for _, e := range entries {
		if _, err := e.base.open(); err != nil {
			return td, err
		}
		if _, err := e.more.open(); err != nil {
			return td, err
		}
	}
	var spans ptrace.SpanSlice
	for i, e := range entries {
		if i == 0 || e.shape != entries[i-1].shape {
			spans = e.shape.appendTo(td)
		}
		e.moveTo(spans.AppendEmpty())
	}
	raw, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		return td, err
	}
	next := 0
	return td, eachIn(raw, []protowire.Number{fieldResourceSpans, fieldScopeSpans, fieldSpans}, func(span []byte) {
		entries[next].base = body{packed: span}
		next++
	})
}

// eachIn calls do for each message that the path of field numbers leads to.
func eachIn(message []byte, path []protowire.Number, do func([]byte)) error {
	if len(path) == 0 {
		do(message)
		return nil
	}
	return eachField(message, func(num protowire.Number, _ uint64, v []byte) error {
		if num != path[0] {
			return nil
		}
		return eachIn(v, path[1:], do)
	})
}

// moveTo moves the span of an entry, whose bodies are open, to s and makes it whole: with ids, times, and the
// marks of how it ended.
func (e *entry) moveTo(s ptrace.Span) {
	e.base.span.MoveTo(s)
	s.SetTraceID(e.trace)
	s.SetSpanID(e.span)
	s.SetParentSpanID(e.parent)
	start, end := e.times()
	s.SetStartTimestamp(pcommon.Timestamp(start))
	s.SetEndTimestamp(pcommon.Timestamp(end))
	if e.whole {
		return
	}
	e.whole = true
	join(s, e.more.span)
	e.more = body{}
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
