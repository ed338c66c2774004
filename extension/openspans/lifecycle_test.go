package openspans

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

func TestStackGivesParents(t *testing.T) {
	f := start(t, nil)
	root := f.mustStart(agentA, "root")
	assert.True(t, root.ParentID.IsEmpty())
	child := f.mustStart(agentA, "child")
	assert.Equal(t, root.TraceID, child.TraceID)
	assert.Equal(t, root.SpanID, child.ParentID)
	elsewhere := f.mustStart(spans.Sender{Agent: "a", Process: "q"}, "other process")
	assert.True(t, elsewhere.ParentID.IsEmpty())

	assert.Equal(t, child.SpanID, f.mustEnd(agentA).SpanID)
	assert.Equal(t, root.SpanID, f.mustEnd(agentA).SpanID)
	got := f.left(2)
	assert.Equal(t, "child", got[0].Name())
	assert.Equal(t, root.SpanID, got[0].ParentSpanID())
	assert.Equal(t, "root", got[1].Name())
	assert.Equal(t, ptrace.StatusCodeUnset, got[1].Status().Code())
}

func TestStartOfAnotherTraceIsLinked(t *testing.T) {
	f := start(t, nil)
	top := f.mustStart(agentA, "top")
	ref, err := f.StartSpan(agentA, startHalf("other", func(s ptrace.Span) { s.SetTraceID(traceID(7)) }))
	require.NoError(t, err)
	assert.True(t, ref.ParentID.IsEmpty())
	assert.Equal(t, traceID(7), ref.TraceID)
	f.mustEnd(agentA)
	got := f.left(1)[0]
	require.Equal(t, 1, got.Links().Len())
	assert.Equal(t, top.SpanID, got.Links().At(0).SpanID())
	assert.Equal(t, top.TraceID, got.Links().At(0).TraceID())
}

func TestEndOutOfOrderLeavesTheRest(t *testing.T) {
	f := start(t, nil)
	f.mustStart(agentA, "one")
	two := f.mustStart(agentA, "two")
	three := f.mustStart(agentA, "three")
	_, err := f.EndSpan(agentA, endHalf(func(s ptrace.Span) { s.SetSpanID(two.SpanID) }))
	require.NoError(t, err)
	four := f.mustStart(agentA, "four")
	assert.Equal(t, three.SpanID, four.ParentID)
	f.mustEnd(agentA)
	f.mustEnd(agentA)
	f.mustEnd(agentA)
	var names []string
	for _, s := range f.left(4) {
		names = append(names, s.Name())
	}
	assert.Equal(t, []string{"two", "four", "three", "one"}, names)
}

func TestEndWithNothingOpen(t *testing.T) {
	f := start(t, nil)
	_, err := f.EndSpan(agentA, endHalf(nil))
	require.ErrorIs(t, err, spans.ErrNothingOpen)
	assert.EqualValues(t, 1, f.stats.orphanEnds.Load())
	_, err = f.EndSpan(spans.Sender{}, endHalf(nil))
	require.ErrorIs(t, err, spans.ErrUnproven)
}

func TestEndFirst(t *testing.T) {
	f := start(t, nil)
	ids := func(s ptrace.Span) { s.SetTraceID(traceID(1)); s.SetSpanID(spanID(1)) }
	ref, err := f.EndSpan(agentA, endHalf(func(s ptrace.Span) { ids(s); s.Attributes().PutStr("k", "end") }))
	require.NoError(t, err)
	assert.True(t, ref.Waiting)
	_, err = f.StartSpan(agentA, startHalf("late", func(s ptrace.Span) {
		ids(s)
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Second)))
		s.Attributes().PutStr("k", "start")
		s.Attributes().PutStr("own", "start")
	}))
	require.NoError(t, err)
	got := f.left(1)[0]
	assert.Equal(t, "late", got.Name())
	assert.Equal(t, map[string]any{"k": "end", "own": "start"}, got.Attributes().AsRaw())
	assert.InDelta(t, time.Second, got.EndTimestamp().AsTime().Sub(got.StartTimestamp().AsTime()), float64(100*time.Millisecond))
}

func TestEndWhoseStartNeverComesLeavesMarked(t *testing.T) {
	f := start(t, func(c *Config) { c.EndWait = 100 * time.Millisecond })
	_, err := f.EndSpan(agentA, endHalf(func(s ptrace.Span) { s.SetTraceID(traceID(1)); s.SetSpanID(spanID(1)); s.SetName("n") }))
	require.NoError(t, err)
	_, err = f.UpdateSpan(agentA, func() spans.Half {
		h := spans.NewHalf()
		h.Span.SetTraceID(traceID(2))
		h.Span.SetSpanID(spanID(2))
		return h
	}())
	require.NoError(t, err)
	got := f.left(1)[0]
	marked, ok := got.Attributes().Get("foundation.span.start_missing")
	assert.True(t, ok && marked.Bool())
	assert.LessOrEqual(t, got.StartTimestamp(), got.EndTimestamp())
	require.Eventually(t, func() bool { return f.stats.orphanUpdates.Load() == 1 }, time.Second, time.Millisecond)
}

func TestDuplicatesAreIdempotent(t *testing.T) {
	f := start(t, nil)
	half := func() spans.Half {
		return startHalf("once", func(s ptrace.Span) { s.SetTraceID(traceID(1)); s.SetSpanID(spanID(1)) })
	}
	end := func() spans.Half {
		return endHalf(func(s ptrace.Span) { s.SetTraceID(traceID(1)); s.SetSpanID(spanID(1)) })
	}
	for range 2 {
		_, err := f.StartSpan(agentA, half())
		require.NoError(t, err)
	}
	for range 2 {
		_, err := f.EndSpan(agentA, end())
		require.NoError(t, err)
	}
	f.left(1)
	_, err := f.StartSpan(agentA, half())
	require.ErrorIs(t, err, spans.ErrEnded, "a late start opens no ghost")
	_, err = f.EndSpan(agentA, end())
	require.NoError(t, err)
	held, _ := f.amounts()
	assert.Zero(t, held)
}

func TestMonotonicDuration(t *testing.T) {
	f := start(t, nil)
	f.mustStart(agentA, "stepped")
	_, err := f.EndSpan(agentA, endHalf(func(s ptrace.Span) {
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Hour)))
		s.Attributes().PutInt("foundation.duration_ns", 1234)
	}))
	require.NoError(t, err)
	f.mustStart(agentA, "stepped, no duration")
	_, err = f.EndSpan(agentA, endHalf(func(s ptrace.Span) {
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Hour)))
	}))
	require.NoError(t, err)
	got := f.left(2)
	assert.EqualValues(t, 1234, got[0].EndTimestamp()-got[0].StartTimestamp())
	_, there := got[0].Attributes().Get("foundation.duration_ns")
	assert.False(t, there)
	assert.Equal(t, got[1].StartTimestamp(), got[1].EndTimestamp())
}

func TestTimeoutAndLostHeartbeat(t *testing.T) {
	f := start(t, func(c *Config) { c.Timeout = 300 * time.Millisecond })
	f.mustStart(agentA, "slow")
	got := f.left(1)[0]
	assertForced(t, got, "timeout")
	f2 := start(t, nil)
	began := time.Now()
	_, err := f2.StartSpan(agentA, startHalf("silent", func(s ptrace.Span) { s.Attributes().PutInt("foundation.span.heartbeat_ns", int64(time.Second)) }))
	require.NoError(t, err)
	time.Sleep(500 * time.Millisecond)
	_, err = f2.UpdateSpan(agentA, spans.NewHalf()) // any half is a sign of life
	require.NoError(t, err)
	assertForced(t, f2.left(1)[0], "heartbeat_lost")
	assert.Greater(t, time.Since(began), 1400*time.Millisecond)
}

func assertForced(t *testing.T, s ptrace.Span, why string) {
	t.Helper()
	assert.Equal(t, ptrace.StatusCodeError, s.Status().Code())
	r, _ := s.Attributes().Get("foundation.span.end_reason")
	assert.Equal(t, why, r.Str())
	_, ok := s.Attributes().Get("foundation.span.open_duration_ns")
	assert.True(t, ok)
	require.Equal(t, 1, s.Events().Len())
	assert.GreaterOrEqual(t, s.EndTimestamp(), s.StartTimestamp())
}

func TestTrueEndAfterForcedOne(t *testing.T) {
	f := start(t, func(c *Config) { c.Timeout = 100 * time.Millisecond })
	ref := f.mustStart(agentA, "slow")
	f.left(1)
	_, err := f.EndSpan(agentA, endHalf(func(s ptrace.Span) { s.SetTraceID(ref.TraceID); s.SetSpanID(ref.SpanID) }))
	require.NoError(t, err)
	assert.EqualValues(t, 1, f.stats.lateEnds.Load())
	f.left(1)
}

func TestFlooderEvictsItsOwn(t *testing.T) {
	f := start(t, func(c *Config) { c.MaxSpans = 400; c.MaxSpansPerAgent = 1000 })
	quiet := spans.Sender{Agent: "quiet", Process: "p"}
	for range 10 {
		f.mustStart(quiet, "quiet")
	}
	for i := range 1000 {
		require.NoError(t, retryWhileFull(func() error {
			_, err := f.StartSpan(spans.Sender{Agent: "flood", Process: "p"}, startHalf("flood", func(s ptrace.Span) { s.SetTraceID(traceID(i + 1)) }))
			return err
		}))
	}
	got := f.left(710)
	for _, s := range got {
		assert.Equal(t, "flood", s.Name())
		assertForced(t, s, "evicted")
	}
	for range 10 {
		f.mustEnd(quiet)
	}
}

func retryWhileFull(do func() error) error {
	for {
		if err := do(); !errors.Is(err, spans.ErrFull) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func TestOutletRetries(t *testing.T) {
	f := start(t, nil)
	f.sink.failWith(errors.New("not now"))
	ref := f.mustStart(agentA, "kept")
	_, err := f.EndSpan(agentA, endHalf(func(s ptrace.Span) { s.Attributes().PutStr("k", "v") }))
	require.NoError(t, err)
	time.Sleep(20 * time.Millisecond)
	assert.Zero(t, f.sink.len())
	f.sink.failWith(nil)
	got := f.left(1)[0]
	assert.Equal(t, "kept", got.Name())
	assert.Equal(t, ref.SpanID, got.SpanID())
	assert.Equal(t, map[string]any{"k": "v"}, got.Attributes().AsRaw())
}
