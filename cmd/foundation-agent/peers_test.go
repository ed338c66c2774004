package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// A peer that got no answer sends its summary once more: it counts once.
func TestSummaryOfAPeerCountsOnce(t *testing.T) {
	backend := agenttest.StartBackend(t)
	a := agenttest.Start(t, agenttest.Options{Args: append(exportTo(t, backend, time.Second), "--set", "processors.event_dedup.trust.addresses=[127.0.0.1]")})
	conn, err := grpc.NewClient(a.OTLP, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	summary := func(id string) plogotlp.ExportRequest {
		ld := plog.NewLogs()
		lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		lr.SetEventName("test.event")
		lr.Attributes().PutBool(attr.Summary, true)
		lr.Attributes().PutInt(attr.LogCount, 11)
		lr.Attributes().PutInt(attr.AdjustedCount, 10)
		lr.Attributes().PutStr(attr.RecordID, id)
		return plogotlp.NewExportRequestFromLogs(ld)
	}
	for _, id := range []string{"a", "a", "b", "a"} {
		_, err := plogotlp.NewGRPCClient(conn).Export(t.Context(), summary(id))
		require.NoError(t, err)
	}
	records := backend.WaitLogs("both summaries", func(rs []agenttest.LogRecord) bool {
		_, summaries := events(rs, "test.event")
		total := 0.0
		for _, s := range summaries {
			total += weight(s)
		}
		return total >= 20
	})
	passed, summaries := events(records, "test.event")
	require.Empty(t, passed)
	total := 0.0
	for _, s := range summaries {
		total += weight(s)
	}
	require.InDelta(t, 20, total, 0)
	require.InDelta(t, 2, a.Metric("otelcol_event_dedup_repeated"), 0)
	a.Stop()
}
