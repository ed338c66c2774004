package main

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/foundation-agent/foundation-agent/cmd/foundation-agent/commands"
	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func TestGuardAgainstSlowLookups(t *testing.T) {
	g := startGuarded(t)
	processes := make([]string, 240)
	for i := range processes {
		processes[i] = fmt.Sprintf("%q", strings.Repeat("x", 1000)+strconv.Itoa(i))
	}
	g.register(`{"processes":[` + strings.Join(processes, ",") + `]}`)
	g.suffers("registry_p99", g.lookUpSlowly)
}

// register makes the test's process an agent named worker.
func (g *guarded) register(body string) {
	g.Helper()
	g.call(g.agent.Socket(), http.MethodPut, "/v1/agents/worker", body)
}

// lookUpSlowly asks for more than the socket holds, and reads it only when the agent has looked at its signals
// meanwhile: a lookup whose answer does not fit takes as long.
func (g *guarded) lookUpSlowly() {
	g.Helper()
	const lookups = 4
	conn, err := net.Dial("unix", g.agent.Socket())
	require.NoError(g, err)
	defer conn.Close()
	_, err = conn.Write([]byte(strings.Repeat("GET /v1/agents/worker HTTP/1.1\r\nHost: agent\r\n\r\n", lookups)))
	require.NoError(g, err)
	g.judged()
	answers := bufio.NewReader(conn)
	for range lookups {
		resp, err := http.ReadResponse(answers, nil)
		require.NoError(g, err)
		require.NoError(g, resp.Body.Close())
	}
}

// Whichever way they come: by the applications' door, as plain OTLP logs, as spans.
func TestGuardAgainstRisingErrors(t *testing.T) {
	for way, send := range map[string]func(g *guarded, errors, others int){
		"events": (*guarded).emit, "logs": (*guarded).export, "spans": (*guarded).trace,
	} {
		t.Run(way, func(t *testing.T) {
			g := startGuarded(t)
			g.baseline(func() { send(g, 5, 500) })
			g.suffers("error_rate", func() { send(g, 50, 5000) })

			verify := g.command("migrate", "verify")
			out, err := verify.CombinedOutput()
			require.Error(g, err)
			require.Equal(g, commands.ExitUnhealthy, verify.ProcessState.ExitCode(), "%s", out)
			require.Contains(g, string(out), "PROBLEM: against baseline before: errors was ")
		})
	}
}

func TestGuardAgainstShareOfErrors(t *testing.T) {
	g := startGuarded(t)
	g.suffers("error_share", func() { g.export(10, 90) })
}

// By the patterns of config/stages.yaml, in what the BEAM says.
func TestGuardAgainstPatternsInLogs(t *testing.T) {
	g := startGuarded(t)
	says := map[string]string{
		"undefined_function": "** (UndefinedFunctionError) function Registry.Legacy.lookup/1 is undefined (module Registry.Legacy is not available)",
		"table_not_found":    "** (ArgumentError) errors were found at the given arguments:\n\n  * 1st argument: the table identifier does not refer to an existing ETS table",
		"call_timeout":       "** (stop) exited in: GenServer.call(Registry, :list, 5000)\n    ** (EXIT) time out",
	}
	g.suffers("log_patterns", func() {
		for _, text := range says {
			status, answer := g.agent.Post("/v1/events", "application/json", fmt.Sprintf(`{"name":"crash","severity":"ERROR","body":%q}`, text))
			require.Equal(g, http.StatusAccepted, status, answer)
		}
		g.emit(0, 100) // the share of errors is no trouble
	})
	for name := range says {
		require.Positive(g, g.agent.Metric("otelcol_span_lifecycle_matches", "pattern", name), name)
	}
}

// emit sends events by the applications' door, some of which are errors.
func (g *guarded) emit(errors, others int) {
	g.Helper()
	status, answer := g.agent.Post("/v1/events", "application/x-ndjson",
		strings.Repeat(`{"name":"request.failed","severity":"ERROR"}`+"\n", errors)+
			strings.Repeat(`{"name":"request.done"}`+"\n", others))
	require.Equal(g, http.StatusAccepted, status, answer)
}

// export sends log records by OTLP.
func (g *guarded) export(errors, others int) {
	g.Helper()
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for i := range errors + others {
		r := records.AppendEmpty()
		r.SetSeverityNumber(plog.SeverityNumberInfo)
		if i < errors {
			r.SetSeverityNumber(plog.SeverityNumberError)
		}
		r.Body().SetStr("request " + strconv.Itoa(i))
	}
	_, err := plogotlp.NewGRPCClient(g.otlp()).Export(g.Context(), plogotlp.NewExportRequestFromLogs(ld))
	require.NoError(g, err)
}

// trace sends whole spans by OTLP.
func (g *guarded) trace(errors, others int) {
	g.Helper()
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range errors + others {
		s := spans.AppendEmpty()
		var id pcommon.TraceID
		_, _ = rand.Read(id[:]) // never fails
		s.SetTraceID(id)
		s.SetSpanID(pcommon.SpanID(id[:8]))
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		s.SetEndTimestamp(s.StartTimestamp() + 1)
		if i < errors {
			s.Status().SetCode(ptrace.StatusCodeError)
		}
	}
	_, err := ptraceotlp.NewGRPCClient(g.otlp()).Export(g.Context(), ptraceotlp.NewExportRequestFromTraces(td))
	require.NoError(g, err)
}

// otlp connects to the OTLP/gRPC receiver.
func (g *guarded) otlp() *grpc.ClientConn {
	g.Helper()
	conn, err := grpc.NewClient(g.agent.OTLP, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(g, err)
	g.Cleanup(func() { require.NoError(g, conn.Close()) })
	return conn
}

// What the agent adds when a service dies is no error of the service.
func TestGuardForgivesWhatTheAgentAdds(t *testing.T) {
	g := startGuarded(t)
	require.True(t, migrate(g.agent, "advance"))
	require.True(t, migrate(g.agent, "advance"))
	dying := exec.Command("sleep", "600")
	require.NoError(t, dying.Start())
	registered := g.call(g.agent.ControlSocket(), http.MethodPut, "/v1/agents/dying", fmt.Sprintf(`{"pid":%d}`, dying.Process.Pid))
	var answer struct{ Token string }
	require.NoError(t, json.Unmarshal([]byte(registered), &answer))
	for i := range 20 {
		g.start("dying", answer.Token, "request "+strconv.Itoa(i))
	}
	require.NoError(t, dying.Process.Kill())
	_ = dying.Wait() // killed
	g.backend.WaitSpans("forced ends", func(spans []agenttest.Span) bool { return len(spans) == 20 })
	for _, s := range g.backend.Spans() {
		require.Equal(t, ptrace.StatusCodeError, s.Status().Code())
	}
	g.backend.WaitLogs("the obituary", func(records []agenttest.LogRecord) bool {
		return slices.ContainsFunc(records, func(r agenttest.LogRecord) bool {
			return r.EventName() == "foundation.agent.down" && r.SeverityNumber() == plog.SeverityNumberError
		})
	})
	require.Zero(t, g.agent.Metric("otelcol_span_lifecycle_errors"))
	require.Zero(t, g.agent.Metric("otelcol_span_lifecycle_records"))
}

// start opens a span of an agent that its token proves.
func (g *guarded) start(agent, token, name string) {
	g.Helper()
	client := agenttest.UnixClient(g.agent.Socket())
	defer client.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodPost, "http://agent/v1/spans/start", strings.NewReader(fmt.Sprintf(`{"agent_id":%q,"name":%q}`, agent, name)))
	require.NoError(g, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Foundation-Agent-Token", token)
	resp, err := client.Do(req)
	require.NoError(g, err)
	require.NoError(g, resp.Body.Close())
	require.Equal(g, http.StatusOK, resp.StatusCode)
}

func TestGuardAgainstLargeTables(t *testing.T) {
	g := startGuarded(t)
	windows := []string{"2s", "1m"} // the second trouble goes on by itself
	g.suffers("event_dedup_memory", func() {
		if len(windows) > 0 {
			g.fillTable(windows[0])
			windows = windows[1:]
		}
	})
}

// fillTable sends large events, each twice under a key of its own: event_dedup keeps one of the two while the key
// lives, for a window or two.
func (g *guarded) fillTable(window string) {
	g.Helper()
	text := strings.Repeat("x", 16<<10)
	for request := range 2 {
		var events strings.Builder
		for key := range 200 {
			fmt.Fprintf(&events, `{"name":"large","once_per":%q,"metadata":{"dedup_key":"%s %d/%d","text":%q}}`+"\n", window, window, request, key, text)
		}
		for range 2 {
			status, answer := g.agent.Post("/v1/events", "application/x-ndjson", events.String())
			require.Equal(g, http.StatusAccepted, status, answer)
		}
	}
}

// processes are real ones, children of the test, counted while they live.
type processes struct {
	*testing.T
	alive atomic.Int64
}

func startProcesses(t *testing.T) *processes {
	p := &processes{T: t}
	p.add(4, "600")
	return p
}

// add starts processes that end after some seconds.
func (p *processes) add(n int, seconds string) {
	p.Helper()
	for range n {
		cmd := exec.Command("sleep", seconds)
		require.NoError(p, cmd.Start())
		p.alive.Add(1)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait() // it is killed, or has slept
			p.alive.Add(-1)
		}()
		p.Cleanup(func() {
			_ = cmd.Process.Kill() // it may have ended
			<-ended
		})
	}
}

// endpoint is a Prometheus endpoint that tells how many there are.
func (p *processes) endpoint() string {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "service_processes"},
		func() float64 { return float64(p.alive.Load()) }))
	s := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	p.Cleanup(s.Close)
	return s.URL
}

// By what the service tells with its heartbeats, as the shipped guard reads it.
func TestGuardAgainstRisingProcessCountOfVitals(t *testing.T) {
	p := startProcesses(t)
	g := startGuarded(t)
	g.register("{}")
	beating := make(chan struct{})
	t.Cleanup(func() { <-beating })
	go func() {
		defer close(beating)
		client := agenttest.UnixClient(g.agent.Socket())
		defer client.CloseIdleConnections()
		for every := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-t.Context().Done():
				every.Stop()
				return
			case <-every.C:
			}
			resp, err := client.Post("http://agent/v1/agents/worker/heartbeat", "application/json",
				strings.NewReader(fmt.Sprintf(`{"vitals":{"process_count":%d}}`, p.alive.Load())))
			if err == nil { // else the next one follows
				_ = resp.Body.Close()
			}
		}
	}()
	g.baseline(func() {})
	g.suffers("process_count", func() { p.add(4, "1") })
}

// By the endpoint of the service itself.
func TestGuardAgainstRisingProcessCountOfEndpoint(t *testing.T) {
	p := startProcesses(t)
	g := startGuarded(t,
		"extensions::staged_migration::sources: {service: {type: prometheus, endpoint: \""+p.endpoint()+"\"}}",
		`extensions::staged_migration::signals::process_count: {source: service, metric: service_processes, unit: "{process}"}`)
	g.baseline(func() {})
	g.suffers("process_count", func() { p.add(4, "1") })
}

// By a query to a Prometheus server that scrapes it.
func TestGuardAgainstQueryOfPrometheus(t *testing.T) {
	p := startProcesses(t)
	g := startGuarded(t,
		"extensions::staged_migration::sources: {server: {type: promql, endpoint: \""+startPrometheus(t, p.endpoint())+"\"}}",
		`extensions::staged_migration::signals::process_count: {source: server, query: "max(service_processes) * 2", unit: "1"}`,
		`extensions::staged_migration::criteria::process_count: {signal: process_count, threshold: "< 12", for: 4s}`)
	g.until("the server has an answer", func(s operator.MigrationStatus) bool { return criterionOf(s, "process_count").State == "ok" })
	g.suffers("process_count", func() { p.add(4, "1") })
}

// startPrometheus starts a server that scrapes an endpoint, and returns its URL.
func startPrometheus(t *testing.T, endpoint string) string {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed: `make test-tools` installs it")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
		"scrape_configs: [{job_name: service, scrape_interval: 200ms, scrape_timeout: 200ms, metrics_path: /, static_configs: [{targets: [%q]}]}]",
		strings.TrimPrefix(endpoint, "http://")), 0o600))
	address := fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(t))
	cmd := exec.Command(path, "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // what it holds is of no use
		_ = cmd.Wait()
	})
	return "http://" + address
}
