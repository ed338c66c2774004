package span

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/foundation-agent/foundation-agent/extension/openspans"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/processor/span/internal/metadata"
)

// testHost has a table of open spans.
type testHost map[component.ID]component.Component

func (h testHost) GetExtensions() map[component.ID]component.Component { return h }

var tableID = component.MustNewID("open_spans")

func withTable(t testing.TB) testHost {
	factory := openspans.NewFactory()
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig())
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.Background())) })
	return testHost{tableID: ext}
}

// next is the next consumer.
type next struct {
	mu   sync.Mutex
	fail error
	got  []ptrace.Span
}

func (*next) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (n *next) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return n.fail
	}
	forEach(td, func(s ptrace.Span) { n.got = append(n.got, s) })
	return nil
}

func (n *next) failWith(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = err
}

func (n *next) spans() []ptrace.Span {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]ptrace.Span(nil), n.got...)
}

func forEach(td ptrace.Traces, do func(ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				do(s)
			}
		}
	}
}

func startTraces(t testing.TB, h component.Host, to consumer.Traces) *traces {
	p, err := NewFactory().CreateTraces(t.Context(), processortest.NewNopSettings(metadata.Type), createDefaultConfig(), to)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), h))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(context.Background())) })
	return p.(*traces)
}

// batch returns spans with the given start and end times, ids from 1.
func batch(times ...[2]int64) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("agent.id", "a")
	ss := rs.ScopeSpans().AppendEmpty()
	for i, at := range times {
		s := ss.Spans().AppendEmpty()
		setIDs(s, i+1)
		s.SetName("s")
		s.SetStartTimestamp(pcommon.Timestamp(at[0]))
		s.SetEndTimestamp(pcommon.Timestamp(at[1]))
	}
	return td
}

func setIDs(s ptrace.Span, n int) {
	var trace pcommon.TraceID
	var id pcommon.SpanID
	binary.BigEndian.PutUint64(trace[:], uint64(n))
	binary.BigEndian.PutUint64(id[:], uint64(n))
	s.SetTraceID(trace)
	s.SetSpanID(id)
}

func TestEveryOption(t *testing.T) {
	conf, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	sub, err := conf.Sub("span_lifecycle")
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	flags := component.MustNewID("feature_flags")
	assert.Equal(t, component.MustNewIDWithName("open_spans", "other"), cfg.OpenSpans)
	assert.Equal(t, &flags, cfg.Flags)
	assert.Equal(t, "enrich_my_logs", cfg.Flag)
	assert.Equal(t, "control", cfg.Control.String())
	assert.Equal(t, map[string]string{"refused": "connection refused"}, cfg.Patterns)
	assert.Equal(t, 10, cfg.Enforcement.Get().Offenders)
	assert.True(t, cfg.Enforcement.Get().RequireAgentID)
	cfg.Patterns["refused"] = "("
	assert.ErrorContains(t, cfg.Validate(), `patterns::refused: "("; must be a regular expression`)
	cfg.Flag = ""
	assert.ErrorContains(t, cfg.Validate(), "flag")
}

// Complete spans pass in the same call; halves come out whole.
func TestHalvesAndCompleteSpans(t *testing.T) {
	to := &next{}
	p := startTraces(t, withTable(t), to)
	require.NoError(t, p.ConsumeTraces(t.Context(), batch([2]int64{1, 2}, [2]int64{3, 0}, [2]int64{5, 6})))
	require.Len(t, to.spans(), 2, "the complete ones have passed, the start has not")
	require.NoError(t, p.ConsumeTraces(t.Context(), batch([2]int64{1, 2}, [2]int64{0, 9})))
	require.Eventually(t, func() bool { return len(to.spans()) == 4 }, 5*time.Second, time.Millisecond)
	whole := to.spans()[3]
	if whole.StartTimestamp() != 3 {
		whole = to.spans()[2]
	}
	assert.EqualValues(t, 3, whole.StartTimestamp())
	assert.EqualValues(t, 9, whole.EndTimestamp())
}

// A complete span ends the open one with its ids, once; a start that comes after it opens nothing.
func TestCompleteSpanEndsTheOpenOne(t *testing.T) {
	to := &next{}
	h := withTable(t)
	p := startTraces(t, h, to)
	require.NoError(t, p.ConsumeTraces(t.Context(), batch([2]int64{1, 0})))
	to.failWith(errors.New("not now"))
	require.Error(t, p.ConsumeTraces(t.Context(), batch([2]int64{1, 2})))
	to.failWith(nil)
	require.NoError(t, p.ConsumeTraces(t.Context(), batch([2]int64{1, 2})), "sent again")
	require.NoError(t, p.ConsumeTraces(t.Context(), batch([2]int64{1, 2})), "and once more")
	require.NoError(t, p.ConsumeTraces(t.Context(), batch([2]int64{1, 0})), "late")
	assert.Len(t, to.spans(), 1)
}

// A span that starts and is complete in one batch leaves once, whatever their order.
func TestStartAndCompleteInOneBatch(t *testing.T) {
	to := &next{}
	p := startTraces(t, withTable(t), to)
	for _, order := range [][2]int64{{0, 1}, {1, 0}} {
		td := batch([2]int64{1, 2}, [2]int64{1, 0})
		spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
		n := 100 + int(order[0])
		setIDs(spans.At(0), n)
		setIDs(spans.At(1), n)
		spans.At(int(order[0])).SetEndTimestamp(2)
		spans.At(int(order[1])).SetEndTimestamp(0)
		require.NoError(t, p.ConsumeTraces(t.Context(), td))
	}
	assert.Len(t, to.spans(), 2)
}

func TestNegativeDuration(t *testing.T) {
	to := &next{}
	p := startTraces(t, withTable(t), to)
	td := batch([2]int64{9, 2})
	require.NoError(t, p.ConsumeTraces(t.Context(), td))
	assert.EqualValues(t, 9, to.spans()[0].EndTimestamp())
}

func TestOneOutlet(t *testing.T) {
	h := withTable(t)
	startTraces(t, h, consumertest.NewNop())
	second, err := NewFactory().CreateTraces(t.Context(), processortest.NewNopSettings(metadata.Type), createDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	require.ErrorContains(t, second.Start(t.Context(), h), "one outlet")
	require.NoError(t, second.Shutdown(t.Context()))
	require.ErrorContains(t, second.Start(t.Context(), componenttest.NewNopHost()), `open_spans: extension "open_spans"`)
}

func TestLogs(t *testing.T) {
	h := withTable(t)
	to := &next{}
	p := startTraces(t, h, to)
	sink := &consumertest.LogsSink{}
	l, err := NewFactory().CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), createDefaultConfig(), sink)
	require.NoError(t, err)
	require.NoError(t, l.Start(t.Context(), h))
	ctx := door.WithCaller(t.Context(), door.Caller{}) // at the applications' door, with no registry to doubt it
	td := batch([2]int64{1, 0})
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr("error_context.k", "v")
	require.NoError(t, p.ConsumeTraces(ctx, td))

	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("agent.id", "a")
	r := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	var trace pcommon.TraceID
	var id pcommon.SpanID
	binary.BigEndian.PutUint64(trace[:], 1)
	binary.BigEndian.PutUint64(id[:], 1)
	r.SetTraceID(trace)
	r.SetSpanID(id)
	r.SetSeverityNumber(plog.SeverityNumberError)
	require.NoError(t, l.ConsumeLogs(ctx, ld))
	got := sink.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	assert.Equal(t, map[string]any{"error_context.k": "v"}, got.Attributes().AsRaw())
	require.NoError(t, l.Shutdown(t.Context()))
}

// off is the handle of a flag that is off.
type off struct{}

func (off) Name() string                      { return "f" }
func (off) Enabled() bool                     { return false }
func (off) OnChange(func(bool)) (stop func()) { return func() {} }

func TestPreviewWhileTheFlagIsOff(t *testing.T) {
	h := withTable(t)
	p := startTraces(t, h, &next{})
	sink := &consumertest.LogsSink{}
	created, err := NewFactory().CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), createDefaultConfig(), sink)
	require.NoError(t, err)
	require.NoError(t, created.Start(t.Context(), h))
	l := created.(*logs)
	l.flag, l.preview.flag = off{}, off{}
	ctx := door.WithCaller(t.Context(), door.Caller{})
	td := batch([2]int64{1, 0})
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr("error_context.k", "v")
	require.NoError(t, p.ConsumeTraces(ctx, td))
	send := func() {
		ld := plog.NewLogs()
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutStr("agent.id", "a")
		records := rl.ScopeLogs().AppendEmpty().LogRecords()
		records.AppendEmpty() // outside of any span
		inSpan := records.AppendEmpty()
		inSpan.SetTraceID(pcommon.TraceID{7: 1})
		inSpan.SetSpanID(pcommon.SpanID{7: 1})
		require.NoError(t, l.ConsumeLogs(ctx, ld))
	}
	send()
	require.Contains(t, l.preview.Previews()[0].Summary, "ask again")
	send()
	got := l.preview.Previews()[0]
	assert.Equal(t, "f", got.Flag)
	assert.Contains(t, got.Summary, "of 2 log records in 0s, 1 (50.0 %) would gain error context")
	for _, ld := range sink.AllLogs() {
		for _, record := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			assert.Zero(t, record.Attributes().Len(), "it passes as it came")
		}
	}
	require.NoError(t, l.Shutdown(t.Context()))
}

// BenchmarkComplete is what the processor adds to a complete span, while nothing is open, and while
// 10,000 others are. The floor, decoding it as a receiver has to, is measured beside it.
func BenchmarkComplete(b *testing.B) {
	const n = 1000
	times := make([][2]int64, n)
	for i := range times {
		times[i] = [2]int64{1, 2}
	}
	td := batch(times...)
	td.ResourceSpans().At(0).Resource().Attributes().Remove("agent.id")
	forEach(td, func(s ptrace.Span) {
		s.Attributes().PutStr("http.request.method", "GET")
		s.Attributes().PutStr("url.path", "/checkout/12345")
		s.Attributes().PutStr("server.address", "checkout.example")
		s.Attributes().PutInt("server.port", 443)
		s.Attributes().PutStr("user_agent.original", "curl/8.5.0")
	})
	encoded, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(b, err)
	b.Run("floor", func(b *testing.B) {
		for done := 0; done < b.N; done += n {
			_, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(encoded)
			require.NoError(b, err)
		}
	})
	added := func(p *traces) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for done := 0; done < b.N; done += n {
				require.NoError(b, p.ConsumeTraces(b.Context(), td))
			}
		}
	}
	b.Run("added, nothing open", added(startTraces(b, withTable(b), consumertest.NewNop())))
	p := startTraces(b, withTable(b), consumertest.NewNop())
	open := batch(make([][2]int64, 10_000)...)
	i := 0
	forEach(open, func(s ptrace.Span) { i++; setIDs(s, 1_000_000+i); s.SetStartTimestamp(1) })
	require.NoError(b, p.ConsumeTraces(b.Context(), open))
	b.Run("added, others open", added(p))
}
