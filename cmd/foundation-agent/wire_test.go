package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// sifted is a configuration whose OTLP receiver wants a token and takes repeats out before it decodes.
const sifted = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "127.0.0.1:%d", auth: {authenticator: bearertokenauth}, middlewares: [{id: wire_dedup}]}}}
processors:
  event_dedup:
    rules: [{name: events, match: {events: ["*"]}, dedup: {window: 3s}}]
    wire: wire_dedup
exporters:
  %s
extensions:
  health_check: {endpoint: "127.0.0.1:%d"}
  file_storage: {directory: "${env:FOUNDATION_STATE_DIR}", create_directory: true}
  bearertokenauth: {token: secret}
  wire_dedup:
service:
  extensions: [health_check, file_storage, bearertokenauth, wire_dedup]
  pipelines:
    logs: {receivers: [otlp], processors: [event_dedup], exporters: [otlp]}
`

// Of 10,000 events that an OTLP client sends, a first and a summary with all of them leave; most were never
// decoded. What a request brought that was refused is in no count.
func TestRepeatsAreCountedUndecoded(t *testing.T) {
	backend := agenttest.StartBackend(t)
	port := agenttest.FreePort(t)
	a := agenttest.Start(t, agenttest.Options{Config: fmt.Sprintf(sifted, port, backend.Exporter(), agenttest.FreePort(t))})
	conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	client := plogotlp.NewGRPCClient(conn)

	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range 100 {
		lr := records.AppendEmpty()
		lr.SetEventName("test.event")
		lr.Body().SetStr("the same")
		lr.Attributes().PutDouble(attr.MeasurementPre+"latency", 2.5)
	}
	request := plogotlp.NewExportRequestFromLogs(ld)
	authorized := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer secret")
	for _, ctx := range []context.Context{authorized, t.Context()} {
		for range 100 {
			_, err := client.Export(ctx, request)
			if ctx == authorized {
				require.NoError(t, err)
			} else {
				require.Equal(t, codes.Unauthenticated, status.Code(err))
			}
		}
	}
	all := backend.WaitLogs("summaries of all", func(rs []agenttest.LogRecord) bool {
		_, summaries := events(rs, "test.event")
		total := 0.0
		for _, s := range summaries {
			total += weight(s)
		}
		return total >= 9_999
	})
	passed, summaries := events(all, "test.event")
	require.Len(t, passed, 1)
	total, latency := 1.0, 2.5
	for _, s := range summaries {
		total += weight(s)
		latency += sumOf(t, s.Attributes().AsRaw(), "latency")
	}
	require.InDelta(t, 10_000, total, 0)
	require.InDelta(t, 25_000, latency, 0)
	require.Greater(t, a.Metric("otelcol_wire_dedup_records"), 9_000.0)
	require.InDelta(t, 10_000, a.Metric("otelcol_event_dedup_in", "rule", "events"), 0)
	a.Stop()
}

func TestRepeatsThatNobodyCountsAreRefused(t *testing.T) {
	backend := agenttest.StartBackend(t)
	config := fmt.Sprintf(sifted, agenttest.FreePort(t), backend.Exporter(), agenttest.FreePort(t)) +
		"    logs/archive: {receivers: [otlp], exporters: [otlp]}\n"
	out := agenttest.Fail(t, agenttest.Options{Config: config})
	require.Contains(t, out, "receivers::otlp::protocols::grpc::middlewares: wire_dedup takes repeats out of requests, and service::pipelines::logs/archive has no event_dedup")
}
