package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// tier is gateways as they are shipped, each with a backend of its own, so that it shows what went where.
type tier struct {
	t        *testing.T
	gateways []*gateway
}

type gateway struct {
	*agenttest.Agent
	endpoint string
	options  agenttest.Options
	backend  *agenttest.Backend
}

func (f *tier) add() {
	f.t.Helper()
	g := &gateway{endpoint: fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(f.t)), backend: agenttest.StartBackend(f.t)}
	overlay := overlayFile(f.t, fmt.Sprintf(`
receivers: {otlp: {protocols: {grpc: {endpoint: %q}}}}
exporters:
  %s
service:
  pipelines:
    logs: {exporters: [otlp]}
    traces: {exporters: [otlp]}
`, g.endpoint, g.backend.Exporter()))
	g.options = agenttest.Options{
		Binary:   nodeBinary(f.t),
		Shipped:  []string{"gateway.yaml"},
		StateDir: f.t.TempDir(),
		Env:      []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + g.backend.Endpoint}, // of metrics: none come
		Args:     []string{"--config", overlay},
	}
	g.Agent = agenttest.Start(f.t, g.options)
	f.gateways = append(f.gateways, g)
}

// resolver is the YAML that names the gateways to senders, in place of DNS.
func (f *tier) resolver() string {
	hosts := make([]string, 0, len(f.gateways))
	for _, g := range f.gateways {
		hosts = append(hosts, g.endpoint)
	}
	static := fmt.Sprintf("{resolver: {dns: null, static: {hostnames: [%s]}}}", strings.Join(hosts, ", "))
	return fmt.Sprintf(`
exporters:
  load_balancing/logs: %[1]s
  load_balancing/traces: %[1]s
processors: # a window that ends while the test watches
  event_dedup: {rules: [{name: events, match: {events: ["*"]}, dedup: {window: 1s, emit: first_and_summary}}]}
`, static)
}

// arrived sums, by dedup_key of one event name, the weights that reached the backends, and counts its firsts.
// Each event must have come through one gateway.
func (f *tier) arrived(name string) (weights map[string]float64, firsts map[string]int) {
	weights, firsts = map[string]float64{}, map[string]int{}
	through := map[string]int{}
	for i, g := range f.gateways {
		passed, summaries := events(g.backend.Logs(), name)
		repeats := map[string]bool{} // delivered once more: by its id a reader drops it
		for _, r := range append(passed, summaries...) {
			k, _ := r.Attributes().Get("dedup_key")
			if id, ok := r.Attributes().Get(attr.RecordID); ok {
				if repeats[id.Str()] {
					continue
				}
				repeats[id.Str()] = true
			} else {
				firsts[k.Str()]++
			}
			at, seen := through[k.Str()]
			require.True(f.t, !seen || at == i, "%s came through two gateways", k.Str())
			through[k.Str()] = i
			weights[k.Str()] += weight(r)
		}
	}
	return weights, firsts
}

func (f *tier) waitWeights(name string, keys int, each float64) {
	f.t.Helper()
	var weights map[string]float64
	require.Eventually(f.t, func() bool {
		weights, _ = f.arrived(name)
		for _, w := range weights {
			if w < each {
				return false
			}
		}
		return len(weights) == keys
	}, 2*time.Minute, 100*time.Millisecond, "weights of every key")
	for k, w := range weights {
		require.InDelta(f.t, each, w, 0, k) // none lost, none counted twice
	}
}

// overlayFile writes an overlay and returns its path.
func overlayFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "overlay.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// Sidecars on several hosts, three gateways, real processes: one event sent through several sidecars is
// deduplicated once; a gateway that dies by kill -9 loses nothing that it had acknowledged; a new one takes its share.
func TestNodeGateways(t *testing.T) {
	fleet := &tier{t: t}
	for range 3 {
		fleet.add()
	}
	overlay := overlayFile(t, fleet.resolver())
	senders := make([]*agenttest.Agent, 3)
	for i := range senders {
		senders[i] = agenttest.Start(t, agenttest.Options{
			Binary:  nodeBinary(t),
			Shipped: []string{"sidecar.yaml", "to-gateways.yaml"},
			Env:     []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "FOUNDATION_GATEWAYS=localhost", fmt.Sprintf("K8S_POD_NAME=shop-%d", i)},
			Args:    []string{"--config", overlay},
		})
	}

	const keys, copies = 60, 40
	send(t, senders, "order.failed", keys, copies)
	sent := float64(len(senders) * keys * copies)
	require.Eventually(t, func() bool {
		var in float64
		for _, g := range fleet.gateways {
			in += g.Metric("otelcol_event_dedup_in")
		}
		_, firsts := fleet.arrived("order.failed")
		return in >= sent && len(firsts) == keys
	}, time.Minute, 50*time.Millisecond, "gateways acknowledge everything")
	_, firsts := fleet.arrived("order.failed")
	for k, n := range firsts {
		require.Equal(t, 1, n, "%s, sent through three sidecars, is the first of its kind once", k)
	}

	time.Sleep(time.Second) // what a gateway acknowledged is on disk after event_dedup's storage_interval, 200 ms
	dead := fleet.gateways[1]
	dead.Kill()
	send(t, senders, "order.failed", keys, copies)
	require.Eventually(t, func() bool {
		return senders[0].Metric("otelcol_exporter_queue_size", "exporter", "load_balancing/logs") > 0
	}, time.Minute, 50*time.Millisecond, "what is for the dead gateway waits")
	dead.Agent = agenttest.Start(t, dead.options)
	fleet.waitWeights("order.failed", keys, float64(2*len(senders)*copies))

	fleet.add()
	require.NoError(t, os.WriteFile(overlay, []byte(fleet.resolver()), 0o600))
	for _, s := range senders {
		s.Signal(syscall.SIGHUP)
	}
	for _, s := range senders {
		require.Eventually(t, func() bool { return strings.Count(s.Output(), "Everything is ready") == 2 },
			time.Minute, 50*time.Millisecond, "reload")
		s.WaitReady()
	}
	const many = 400
	send(t, senders, "order.placed", many, 1)
	fleet.waitWeights("order.placed", many, float64(len(senders)))
	passed, _ := events(fleet.gateways[3].backend.Logs(), "order.placed")
	require.InDelta(t, many/4, len(passed), many/6, "the new gateway's share")

	requireTracesMeet(t, fleet, senders)
	for _, s := range senders {
		s.Stop()
	}
	for _, g := range fleet.gateways {
		g.Stop()
	}
}

// send emits copies of each of keys events through every sender, each sender's in one request.
func send(t *testing.T, senders []*agenttest.Agent, name string, keys, copies int) {
	t.Helper()
	var body strings.Builder
	for k := range keys {
		body.WriteString(strings.Repeat(fmt.Sprintf(`{"name":%q,"measurements":{"count":1},"dedup_key":"k%d"}`+"\n", name, k), copies))
	}
	for _, s := range senders {
		status, answer := s.Post("/v1/events", "application/x-ndjson", body.String())
		require.Equal(t, http.StatusAccepted, status, answer)
	}
}

// requireTracesMeet sends the spans of each trace through different senders: they meet at one gateway.
func requireTracesMeet(t *testing.T, fleet *tier, senders []*agenttest.Agent) {
	t.Helper()
	const traces = 60
	for i, s := range senders {
		td := ptrace.NewTraces()
		spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
		for n := range traces {
			span := spans.AppendEmpty()
			span.SetTraceID([16]byte{15: byte(n), 0: 1})
			span.SetSpanID([8]byte{7: byte(i + 1)})
			span.SetStartTimestamp(1)
			span.SetEndTimestamp(2)
		}
		conn, err := grpc.NewClient(s.OTLP, grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		_, err = ptraceotlp.NewGRPCClient(conn).Export(context.Background(), ptraceotlp.NewExportRequestFromTraces(td))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	var at map[string]map[int]int // spans by trace and gateway
	require.Eventually(t, func() bool {
		at = map[string]map[int]int{}
		total := 0
		for i, g := range fleet.gateways {
			for _, s := range g.backend.Spans() {
				id := s.TraceID().String()
				if at[id] == nil {
					at[id] = map[int]int{}
				}
				at[id][i]++
				total++
			}
		}
		return total >= traces*len(senders)
	}, time.Minute, 50*time.Millisecond, "spans")
	used := map[int]bool{}
	for id, where := range at {
		require.Len(t, where, 1, "trace %s is in one place", id)
		for i, n := range where {
			used[i] = true
			require.Equal(t, len(senders), n)
		}
	}
	require.Len(t, used, len(fleet.gateways))
}
