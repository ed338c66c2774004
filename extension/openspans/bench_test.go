package openspans

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

const benchBatch = 1000

// halves returns a batch of starts or ends, as they come out of an OTLP receiver: five attributes at the
// start, one at the end.
func halves(first int, ends bool) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "checkout")
	rs.Resource().Attributes().PutStr("agent.id", "a")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("bench")
	ss.Spans().EnsureCapacity(benchBatch)
	now := pcommon.NewTimestampFromTime(time.Now())
	for i := range benchBatch {
		s := ss.Spans().AppendEmpty()
		s.SetTraceID(traceID(first + i + 1))
		s.SetSpanID(spanID(first + i + 1))
		if ends {
			s.SetEndTimestamp(now)
			s.Attributes().PutInt("http.response.status_code", 200)
			continue
		}
		s.SetName("GET /checkout/{id}")
		s.SetKind(ptrace.SpanKindServer)
		s.SetStartTimestamp(now)
		s.Attributes().PutStr("http.request.method", "GET")
		s.Attributes().PutStr("url.path", "/checkout/12345")
		s.Attributes().PutStr("server.address", "checkout.example")
		s.Attributes().PutInt("server.port", 443)
		s.Attributes().PutStr("user_agent.original", "curl/8.5.0")
	}
	return td
}

// BenchmarkPair is a start and its end, as halves of an OTLP pipeline, until the whole span has been built
// and taken. One operation is one pair.
func BenchmarkPair(b *testing.B) {
	for _, persist := range []bool{false, true} {
		b.Run(fmt.Sprintf("stored=%t", persist), func(b *testing.B) {
			h := componenttest.NewNopHost()
			change := func(*Config) {}
			if persist {
				disk, stop := onDisk(b, b.TempDir(), nil)
				defer stop()
				h, change = disk, stored
			}
			f := startOn(b, h, change)
			f.sink.discard = true
			var prepared []ptrace.Traces
			ctx := door.WithCaller(context.Background(), door.Caller{})
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += benchBatch {
				b.StopTimer()
				prepared = append(prepared[:0], halves(n, false), halves(n, true))
				b.StartTimer()
				for _, td := range prepared {
					for out := n; out-f.sink.len() > benchBatch; { // ended spans are not taken as fast as they come
						runtime.Gosched()
					}
					require.NoError(b, f.TakeHalves(ctx, td))
				}
			}
			for f.sink.len() < b.N {
				runtime.Gosched()
			}
			b.StopTimer()
			f.stop()
		})
	}
}

// BenchmarkOpenSpans reports what 100,000 open spans cost in live memory.
func BenchmarkOpenSpans(b *testing.B) {
	for range b.N {
		f := startOn(b, componenttest.NewNopHost(), nil)
		f.sink.discard = true
		before := live()
		ctx := door.WithCaller(context.Background(), door.Caller{})
		for n := 0; n < 100_000; n += benchBatch {
			require.NoError(b, f.TakeHalves(ctx, halves(n, false)))
		}
		b.ReportMetric(float64(live()-before)/(1<<20), "MiB")
		held, _ := f.amounts()
		b.ReportMetric(float64(held.bytes)/(1<<20), "MiB-accounted")
		f.stop()
	}
}

func live() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkRestore is the restore of 100,000 open spans from a real file_storage.
func BenchmarkRestore(b *testing.B) {
	dir := b.TempDir()
	h, stop := onDisk(b, dir, nil)
	f := startOn(b, h, stored)
	ctx := door.WithCaller(context.Background(), door.Caller{})
	for n := 0; n < 100_000; n += benchBatch {
		require.NoError(b, f.TakeHalves(ctx, halves(n, false)))
	}
	f.stop()
	stop()
	b.ResetTimer()
	for range b.N {
		h, stop := onDisk(b, dir, nil)
		f := startOn(b, h, stored)
		held, _ := f.amounts()
		require.Equal(b, 100_000, held.spans)
		b.StopTimer()
		b.ReportMetric(float64(f.stats.restoreNs.Load())/1e6, "ms")
		f.stop()
		stop()
		b.StartTimer()
	}
}

// BenchmarkEnrich is one log record inside nested contexts, outside any, and where nothing is open.
func BenchmarkEnrich(b *testing.B) {
	f := start(b, nil)
	root, err := f.StartSpan(agentA, startHalf("root", nil))
	require.NoError(b, err)
	require.NoError(b, f.PushContext(agentA, mapOf("request_id", "r-1", "user", "u")))
	child, err := f.StartSpan(agentA, startHalf("child", nil))
	require.NoError(b, err)
	require.NoError(b, f.PushContext(agentA, mapOf("operation", "validation")))
	require.NoError(b, f.PushContext(agentA, mapOf("step", "parse")))
	for _, bench := range []struct {
		name string
		who  spans.Sender
		ids  spans.Ref
	}{
		{"by ids", agentA, child},
		{"by ids of the outer span", agentA, root},
		{"by process", agentA, spans.Ref{}},
		{"outside any span", spans.Sender{}, spans.Ref{TraceID: traceID(99), SpanID: spanID(99)}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			records := plog.NewLogRecordSlice()
			fill := func() {
				records = plog.NewLogRecordSlice()
				for range benchBatch {
					r := records.AppendEmpty()
					r.SetTraceID(bench.ids.TraceID)
					r.SetSpanID(bench.ids.SpanID)
					r.Attributes().EnsureCapacity(8)
					r.Attributes().PutStr("foundation.process", "p")
					r.Attributes().PutStr("a", "1")
					r.Attributes().PutStr("b", "2")
				}
			}
			b.ReportAllocs()
			for n := 0; n < b.N; n += benchBatch {
				b.StopTimer()
				fill()
				b.StartTimer()
				for _, r := range records.All() {
					f.Enrich(bench.who, r)
				}
			}
		})
	}
}

// BenchmarkBackup reports the longest that a start had to wait while 100,000 open spans were backed up.
func BenchmarkBackup(b *testing.B) {
	f := start(b, nil)
	ctx := door.WithCaller(context.Background(), door.Caller{})
	for n := 0; n < 100_000; n += benchBatch {
		require.NoError(b, f.TakeHalves(ctx, halves(n, false)))
	}
	longest := time.Duration(0)
	for range b.N {
		done := make(chan error, 1)
		go func() {
			_, err := f.backup(func([]byte) error { return nil })
			done <- err
		}()
		for running := true; running; {
			select {
			case err := <-done:
				require.NoError(b, err)
				running = false
			default:
				began := time.Now()
				f.mu.Lock()
				longest = max(longest, time.Since(began))
				f.mu.Unlock()
			}
		}
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest-pause")
}
