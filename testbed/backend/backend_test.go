package backend

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

func TestLogsAreCountedByWhatTheyStandFor(t *testing.T) {
	l := newLogs()
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	add := func(fill func(lr plog.LogRecord)) {
		lr := records.AppendEmpty()
		lr.SetEventName("e")
		fill(lr)
	}
	add(func(lr plog.LogRecord) { lr.Attributes().PutStr("order.id", "1"); lr.SetTimestamp(1) })
	add(func(lr plog.LogRecord) { lr.Attributes().PutStr("order.id", "1"); lr.SetTimestamp(2) })
	add(func(lr plog.LogRecord) { lr.Attributes().PutStr("order.id", "1"); lr.SetTimestamp(2) }) // a repeat
	summary := func(lr plog.LogRecord) {
		lr.Attributes().PutBool(attr.Summary, true)
		lr.Attributes().PutStr(attr.RecordID, "s1")
		lr.Attributes().PutInt(attr.LogCount, 10)
		lr.Attributes().PutDouble(attr.AdjustedCount, 9)
	}
	add(summary)
	add(summary)                                                                 // a repeat
	add(func(lr plog.LogRecord) { lr.Attributes().PutBool(attr.Summary, true) }) // counts nothing
	add(func(lr plog.LogRecord) { lr.Attributes().PutInt(attr.AdjustedCount, -1) })
	add(func(lr plog.LogRecord) { lr.Attributes().PutStr(attr.ErrorContextPre+"step", "parse") })
	l.count(logs)
	require.Equal(t, LogTotals{Records: 8, Repeats: 2, Firsts: 4, Summaries: 2, Weight: 2 + 9 + 1 - 1 + 1, LogCount: 10, Enriched: 1, Wrong: 2}, l.Event("e"))
	require.Zero(t, l.Event("other"))
	require.Len(t, l.Events(), 1)
}

func TestSpansAreCountedOnce(t *testing.T) {
	s := newSpans()
	traces := ptrace.NewTraces()
	spans := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	add := func(id byte, start, end pcommon.Timestamp, reason string) {
		span := spans.AppendEmpty()
		span.SetTraceID([16]byte{1})
		span.SetSpanID([8]byte{id})
		span.SetStartTimestamp(start)
		span.SetEndTimestamp(end)
		if reason != "" {
			span.Attributes().PutStr(attr.EndReason, reason)
		}
	}
	add(1, 1, 2, "")
	add(1, 1, 2, "") // a repeat
	add(2, 1, 2, "agent_down")
	add(3, 1, 0, "") // half a span
	add(4, 0, 2, "") // the other half
	s.count(traces)
	at := s.Totals()
	require.Equal(t, SpanTotals{Spans: 5, Repeats: 1, Reasons: map[string]int{"agent_down": 1}, Wrong: 2}, at)
	require.Equal(t, 4, at.Once())
}

func TestMoods(t *testing.T) {
	b, err := Start()
	require.NoError(t, err)
	counted := 0
	take := func() error { return b.take(t.Context(), func() { counted++ }) }
	require.NoError(t, take())
	b.Be(Refuses)
	require.Error(t, take())
	require.Equal(t, 1, counted)
	b.Be(Forgets)
	require.Error(t, take())
	require.Equal(t, 2, counted)
	b.Be(Dawdles)
	begun := time.Now()
	require.NoError(t, take())
	require.GreaterOrEqual(t, time.Since(begun), 250*time.Millisecond)
	b.Be(Stalls)
	stalled := make(chan error, 1)
	go func() { stalled <- take() }()
	select {
	case err := <-stalled:
		require.Fail(t, "answered while stalling", err)
	case <-time.After(50 * time.Millisecond):
	}
	b.Be(Accepts)
	require.Error(t, <-stalled)
	require.NoError(t, b.Stop())
}
