package dedup

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// Benchmarks are per record: an op is one record of a batch of 1,000.
const benchBatch = 1000

func benchProcessor(b *testing.B, cfg *Config) *dedupProcessor {
	b.Helper()
	p, err := newProcessor(processortest.NewNopSettings(typ), cfg, consumertest.NewNop())
	require.NoError(b, err)
	require.NoError(b, p.Start(context.Background(), componenttest.NewNopHost()))
	b.Cleanup(func() { _ = p.Shutdown(context.Background()) })
	return p
}

// benchLogs are records of five attributes; i decides what makes them differ.
func benchLogs(identify func(i int, lr plog.LogRecord)) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "checkout")
	rl.Resource().Attributes().PutStr("host.name", "node-17")
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := range benchBatch {
		lr := records.AppendEmpty()
		lr.SetEventName("payment.failed")
		lr.SetSeverityNumber(plog.SeverityNumberError)
		lr.Body().SetStr("payment provider answered 503 to the third attempt")
		lr.Attributes().PutStr("http.route", "/v1/payments/{id}")
		lr.Attributes().PutInt("http.status_code", 503)
		lr.Attributes().PutStr("provider", "acme")
		lr.Attributes().PutInt("measurement.duration_ms", 1200)
		identify(i, lr)
	}
	return ld
}

func BenchmarkDuplicates(b *testing.B) {
	for name, identify := range map[string]func(i int, lr plog.LogRecord){
		"dedup_key": func(i int, lr plog.LogRecord) { lr.Attributes().PutStr(attr.DedupKey, fmt.Sprintf("order-%d", i)) },
		"content":   func(i int, lr plog.LogRecord) { lr.Attributes().PutInt("order", int64(i)) },
	} {
		b.Run(name, func(b *testing.B) {
			p := benchProcessor(b, config(dedupRule(10*time.Second, emitFirstAndSummary)))
			require.NoError(b, p.ConsumeLogs(context.Background(), benchLogs(identify))) // the firsts
			ld := benchLogs(identify)
			require.NoError(b, p.ConsumeLogs(context.Background(), ld)) // and the records for their summaries
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += benchBatch {
				_ = p.ConsumeLogs(context.Background(), ld)
			}
		})
	}
}

func BenchmarkUnique(b *testing.B) {
	p := benchProcessor(b, config(dedupRule(10*time.Second, emitFirstAndSummary)))
	ld := benchLogs(func(_ int, lr plog.LogRecord) { lr.Attributes().PutInt("order", 0) })
	next := int64(0)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += benchBatch {
		for _, lr := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			next++
			lr.Attributes().PutInt("order", next)
		}
		_ = p.ConsumeLogs(context.Background(), ld)
	}
}
