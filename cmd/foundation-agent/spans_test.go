package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	foundation "github.com/foundation-agent/foundation-agent/clients/go"
	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// tracedApp is set in the environment of a child that is to be an application with open spans.
const tracedApp = "FOUNDATION_TEST_TRACED_APP"

func TestMain(m *testing.M) {
	if socket := os.Getenv(tracedApp); socket != "" {
		runTracedApp(socket)
		return
	}
	os.Exit(m.Run())
}

// runTracedApp opens a tree of five spans with the plain OpenTelemetry SDK, says so, and waits to be killed.
func runTracedApp(socket string) {
	client, err := foundation.New("unix:" + socket)
	if err != nil {
		panic(err)
	}
	if _, err := client.Register(context.Background(), "shop-1", foundation.Registration{}); err != nil {
		panic(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(client.SpanProcessor(time.Second)), sdktrace.WithResource(resource.Empty()))
	tracer := provider.Tracer("test")
	ctx, _ := tracer.Start(context.Background(), "root")
	left, _ := tracer.Start(ctx, "left")
	_, _ = tracer.Start(left, "left.1")
	_, _ = tracer.Start(left, "left.2")
	_, _ = tracer.Start(ctx, "right")
	if err := provider.ForceFlush(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println("open")
	select {}
}

// tree is the parent of each span that a traced app opens.
var tree = map[string]string{"root": "", "left": "root", "left.1": "left", "left.2": "left", "right": "root"}

// startTracedApp returns a traced app whose spans the agent has acknowledged.
func startTracedApp(t *testing.T, socket string) *exec.Cmd {
	t.Helper()
	app := exec.Command(os.Args[0])
	app.Env = append(os.Environ(), tracedApp+"="+socket)
	app.Stderr = os.Stderr
	app.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := app.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, app.Start())
	t.Cleanup(func() { kill(app) })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "open", strings.TrimSpace(line))
	return app
}

// kill is kill -9, waited for.
func kill(app *exec.Cmd) {
	_ = app.Process.Kill()
	_ = app.Wait() // it has been killed: that is its error
}

// spansOverlay exports to backend and changes the open spans' extension.
func spansOverlay(t *testing.T, backend *agenttest.Backend, openSpans string) agenttest.Options {
	t.Helper()
	overlay := filepath.Join(t.TempDir(), "spans.yaml")
	require.NoError(t, os.WriteFile(overlay, fmt.Appendf(nil, `
exporters:
  %s
extensions:
  open_spans: %s
service:
  pipelines:
    logs: {exporters: [otlp]}
    traces: {exporters: [otlp]}
`, backend.Exporter(), openSpans), 0o600))
	return agenttest.Options{StateDir: t.TempDir(), Args: []string{"--config", overlay}}
}

// requireTree waits for the five spans, each once, with the right parents and the reason.
func requireTree(t *testing.T, backend *agenttest.Backend, reason string, within time.Duration) {
	t.Helper()
	began := time.Now()
	require.Eventually(t, func() bool { return len(backend.Spans()) >= len(tree) }, within+30*time.Second, 5*time.Millisecond)
	took := time.Since(began)
	t.Logf("the spans arrived after %s", took.Round(time.Millisecond))
	assert.Less(t, took, within)
	names := map[string]string{} // by span id
	for _, s := range backend.Spans() {
		names[s.SpanID().String()] = s.Name()
	}
	require.Len(t, names, len(tree))
	left := map[string]bool{}
	for _, s := range backend.Spans() {
		assert.Equal(t, tree[s.Name()], names[s.ParentSpanID().String()], s.Name())
		assert.Equal(t, ptrace.StatusCodeError, s.Status().Code())
		why, _ := s.Attributes().Get(attr.EndReason)
		assert.Equal(t, reason, why.Str())
		open, _ := s.Attributes().Get(attr.OpenDurationNs)
		assert.Positive(t, open.Int())
		assert.Less(t, open.Int(), int64(time.Minute))
		assert.EqualValues(t, open.Int(), s.EndTimestamp()-s.StartTimestamp())
		assert.False(t, left[names[s.ParentSpanID().String()]], "children leave before parents")
		left[s.Name()] = true
	}
}

// Done when, point 1: the process dies, the agent dies first, both die.
func TestSpansOfADeadProcess(t *testing.T) {
	backend := agenttest.StartBackend(t)
	a := agenttest.Start(t, spansOverlay(t, backend, "{}"))
	kill(startTracedApp(t, a.Socket()))
	requireTree(t, backend, "agent_down", time.Second)
	require.Eventually(t, func() bool { return len(obituaries(backend)) == 1 }, 10*time.Second, 10*time.Millisecond)
	o := obituaries(backend)[0]
	why, _ := o.Attributes().Get("agent.down.reason")
	assert.Equal(t, "process_exit", why.Str())
	open, ok := o.Attributes().Get("agent.down.spans")
	require.True(t, ok)
	assert.Equal(t, len(tree), open.Slice().Len())
}

func obituaries(b *agenttest.Backend) (found []agenttest.LogRecord) {
	for _, r := range b.Logs() {
		if r.EventName() == "foundation.agent.down" {
			found = append(found, r)
		}
	}
	return found
}

func TestSpansOfADeadProcessAfterTheAgentDied(t *testing.T) {
	backend := agenttest.StartBackend(t)
	options := spansOverlay(t, backend, "{}")
	a := agenttest.Start(t, options)
	app := startTracedApp(t, a.Socket())
	time.Sleep(300 * time.Millisecond) // longer than the storage interval: what was acknowledged is stored
	a.Kill()
	agenttest.Start(t, options)
	require.Empty(t, backend.Spans())
	kill(app)
	requireTree(t, backend, "agent_down", time.Second)
}

func TestSpansWhenBothDied(t *testing.T) {
	backend := agenttest.StartBackend(t)
	options := spansOverlay(t, backend, "{}")
	a := agenttest.Start(t, options)
	app := startTracedApp(t, a.Socket())
	time.Sleep(300 * time.Millisecond) // longer than the storage interval
	a.Kill()
	kill(app)
	agenttest.Start(t, options)
	requireTree(t, backend, "agent_down", 5*time.Second)
}

// Done when, point 2: no registry.
func TestSpansByLostHeartbeatAndTimeout(t *testing.T) {
	for reason, settings := range map[string]string{
		"heartbeat_lost": "{registry: null}",
		"timeout":        "{registry: null, timeout: 2s}",
	} {
		t.Run(reason, func(t *testing.T) {
			backend := agenttest.StartBackend(t)
			a := agenttest.Start(t, spansOverlay(t, backend, settings))
			kill(startTracedApp(t, a.Socket()))
			requireTree(t, backend, reason, 5*time.Second)
		})
	}
}

// Done when, point 3: the context example of the runbook.
func TestErrorContextOnLogs(t *testing.T) {
	backend := agenttest.StartBackend(t)
	a := agenttest.Start(t, spansOverlay(t, backend, "{}"))
	client := agenttest.UnixClient(a.Socket())
	defer client.CloseIdleConnections()
	put, err := http.NewRequest(http.MethodPut, "http://agent/v1/agents/worker-1", strings.NewReader("{}"))
	require.NoError(t, err)
	put.Header.Set("Content-Type", "application/json")
	registered, err := client.Do(put)
	require.NoError(t, err)
	require.NoError(t, registered.Body.Close())
	require.Equal(t, http.StatusCreated, registered.StatusCode)
	status, answer := a.Post("/v1/events", "application/x-ndjson", strings.Join([]string{
		`{"call":"span.start","name":"request","agent_id":"worker-1","process":"main"}`,
		`{"call":"context.push","agent_id":"worker-1","process":"main","context":{"operation":"validation"}}`,
		`{"call":"context.push","agent_id":"worker-1","process":"main","context":{"step":"parse"}}`,
		`{"name":"validation.failed","severity":"ERROR","body":"cannot parse","agent_id":"worker-1","process":"main"}`,
		`{"call":"context.pop","agent_id":"worker-1","process":"main"}`,
		`{"call":"context.pop","agent_id":"worker-1","process":"main"}`,
		`{"call":"span.end","agent_id":"worker-1","process":"main"}`,
	}, "\n"))
	require.Equal(t, http.StatusAccepted, status, answer)
	span := backend.WaitSpans("the span", func(all []agenttest.Span) bool { return len(all) == 1 })[0]
	records := backend.WaitLogs("the event", func(all []agenttest.LogRecord) bool {
		return slices.ContainsFunc(all, func(r agenttest.LogRecord) bool { return r.EventName() == "validation.failed" })
	})
	got := records[slices.IndexFunc(records, func(r agenttest.LogRecord) bool { return r.EventName() == "validation.failed" })]
	for k, want := range map[string]string{"error_context.operation": "validation", "error_context.step": "parse"} {
		v, _ := got.Attributes().Get(k)
		assert.Equal(t, want, v.AsString(), k)
	}
	assert.Equal(t, span.TraceID(), got.TraceID())
	assert.Equal(t, span.SpanID(), got.SpanID())
}
