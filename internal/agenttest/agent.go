// Package agenttest runs the built binary as a child process, for tests that must see what a user sees.
package agenttest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// patience bounds every wait: long enough for a busy machine, and reached only when something is broken.
const patience = 60 * time.Second

// Binary returns the path of the agent, built once a test process. FOUNDATION_AGENT_BINARY names one that is
// built already.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	require.NoError(t, err)
	return path
}

var built = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("FOUNDATION_AGENT_BINARY"); path != "" {
		return path, nil
	}
	// In the build cache's own way: one file a checkout, relinked by go only when something changed.
	path := filepath.Join(Root(), "build", "test", "foundation-agent")
	build := exec.Command("go", "build", "-o", path, "./cmd/foundation-agent")
	build.Dir = Root()
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// Root is the checkout's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Agent is a running child process. Its methods fail the test rather than return an error.
type Agent struct {
	t       testing.TB
	cmd     *exec.Cmd
	output  *output
	exited  chan struct{}
	started time.Time
	health  string
	metrics string
	// OTLP is host:port of the OTLP/gRPC receiver, OTLPHTTP that of OTLP/HTTP, Door that of the applications'
	// door on TCP, StatusPage that of the status page, of the default configuration.
	OTLP, OTLPHTTP, Door, StatusPage string
	// StateDir is FOUNDATION_STATE_DIR: pass it to the next life to restart where this one ended.
	StateDir string
}

// Options of a life.
type Options struct {
	// Binary to run instead of the agent: another collector to compare it with.
	Binary string
	// Config is YAML. Ports in it are the caller's (FreePort). "" runs Shipped.
	Config string
	// Shipped are files of config/, merged in order, moved to free ports. nil is agent.yaml alone.
	Shipped []string
	// StateDir to go on with; "" makes a new one.
	StateDir string
	// Env adds to the environment.
	Env []string
	// Args follow the configuration.
	Args []string
}

// Start runs the agent and waits until its health check says that pipelines are up. It is killed when the test ends.
func Start(t testing.TB, o Options) *Agent {
	t.Helper()
	a := Launch(t, o)
	a.WaitReady()
	return a
}

// Launch runs the agent and waits for nothing.
func Launch(t testing.TB, o Options) *Agent {
	t.Helper()
	if o.StateDir == "" {
		o.StateDir = t.TempDir()
	}
	a := &Agent{
		t:        t,
		output:   &output{},
		exited:   make(chan struct{}),
		health:   fmt.Sprintf("127.0.0.1:%d", FreePort(t)),
		metrics:  fmt.Sprintf("127.0.0.1:%d", FreePort(t)),
		OTLP:     fmt.Sprintf("127.0.0.1:%d", FreePort(t)),
		OTLPHTTP: fmt.Sprintf("127.0.0.1:%d", FreePort(t)),
		Door:     fmt.Sprintf("127.0.0.1:%d", FreePort(t)),

		StatusPage: fmt.Sprintf("127.0.0.1:%d", FreePort(t)),
		StateDir:   o.StateDir,
	}
	args := append(a.configArgs(o), o.Args...)
	if o.Binary == "" {
		o.Binary = Binary(t)
	}
	a.cmd = exec.Command(o.Binary, args...)
	a.cmd.Env = append(append(os.Environ(), "FOUNDATION_STATE_DIR="+o.StateDir,
		"FOUNDATION_SOCKET="+a.Socket(), "FOUNDATION_FLAGS_FILE="+filepath.Join(Root(), "config", "flags.json")), o.Env...)
	a.cmd.Stdout, a.cmd.Stderr = a.output, a.output
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the death signal is the thread's, and a parked thread may end
	require.NoError(t, a.cmd.Start())
	runtime.UnlockOSThread()
	a.started = time.Now()
	go func() {
		_ = a.cmd.Wait() // the exit is told by exited, the code by ProcessState
		close(a.exited)
	}()
	t.Cleanup(func() {
		a.Kill()
		if t.Failed() {
			t.Logf("the agent said:\n%s", a.Output())
		}
	})
	return a
}

// configArgs are the arguments that run a configuration, moved to ports of this agent's.
func (a *Agent) configArgs(o Options) []string {
	a.t.Helper()
	_, metricsPort, err := net.SplitHostPort(a.metrics)
	require.NoError(a.t, err)
	ports := fmt.Sprintf(`
extensions:
  health_check: {endpoint: %q}
service:
  telemetry:
    metrics:
      readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %s}}}}]
`, a.health, metricsPort)
	if o.Config != "" {
		return []string{"--config", a.file(o.Config), "--config", a.file(ports)}
	}
	if o.Shipped == nil {
		o.Shipped = []string{"agent.yaml"}
	}
	var args []string
	for _, name := range o.Shipped {
		args = append(args, "--config", filepath.Join(Root(), "config", name))
	}
	doors := fmt.Sprintf(`
receivers:
  otlp: {protocols: {grpc: {endpoint: %q}, http: {endpoint: %q}}}
  foundation: {http: {endpoint: %q}}
extensions:
  control: {status_page: {endpoint: %q}}
`, a.OTLP, a.OTLPHTTP, a.Door, a.StatusPage)
	return append(args, "--config", a.file(doors), "--config", a.file(ports))
}

func (a *Agent) file(text string) string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), "config.yaml")
	require.NoError(a.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// WaitReady waits until the health check says that pipelines are up.
func (a *Agent) WaitReady() {
	a.t.Helper()
	require.Eventually(a.t, func() bool {
		if a.Exited() {
			return true
		}
		resp, err := http.Get("http://" + a.health)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, patience, 20*time.Millisecond, "health check of the agent")
	require.False(a.t, a.Exited(), "the agent ended at start")
}

// Fail runs the agent, which must end by itself with an error, and returns what it said.
func Fail(t testing.TB, o Options) string {
	t.Helper()
	a := Launch(t, o)
	select {
	case <-a.exited:
	case <-time.After(patience):
		t.Fatalf("the agent runs, an error was expected:\n%s", a.Output())
	}
	require.NotZero(t, a.cmd.ProcessState.ExitCode())
	return a.Output()
}

// PID of the process.
func (a *Agent) PID() int { return a.cmd.Process.Pid }

// Kill is kill -9, waited for.
func (a *Agent) Kill() {
	_ = a.cmd.Process.Kill() // it may have ended
	<-a.exited
}

// Stop is SIGTERM, waited for: an orderly end.
func (a *Agent) Stop() {
	a.t.Helper()
	// The collector is ready a moment before it listens for signals (otelcol.Collector.Run), and nothing tells when
	// it does. Until then SIGTERM is the end, with nothing said.
	time.Sleep(time.Until(a.started.Add(time.Second)))
	a.Signal(syscall.SIGTERM)
	select {
	case <-a.exited:
		require.Zero(a.t, a.cmd.ProcessState.ExitCode(), a.Output())
	case <-time.After(patience):
		a.t.Fatalf("the agent does not stop:\n%s", a.Output())
	}
}

// Signal sends one.
func (a *Agent) Signal(s os.Signal) {
	a.t.Helper()
	require.NoError(a.t, a.cmd.Process.Signal(s))
}

// Output is all that the agent has printed.
func (a *Agent) Output() string { return a.output.String() }

// Socket is the applications' socket of the shipped configurations.
func (a *Agent) Socket() string { return filepath.Join(a.StateDir, "run", "app.sock") }

// ControlSocket is the operators' socket of the shipped configurations.
func (a *Agent) ControlSocket() string { return filepath.Join(a.StateDir, "control", "control.sock") }

// Post sends body to a path of the applications' door and returns status and answer.
func (a *Agent) Post(path, contentType, body string) (int, string) {
	a.t.Helper()
	client := UnixClient(a.Socket())
	defer client.CloseIdleConnections()
	resp, err := client.Post("http://agent"+path, contentType, strings.NewReader(body))
	require.NoError(a.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(a.t, err)
	return resp.StatusCode, string(answer)
}

// UnixClient is an HTTP client whose every request goes to a unix socket.
func UnixClient(socket string) *http.Client {
	return &http.Client{
		Timeout: patience,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}},
	}
}

// Metric sums the series of a metric that the agent exposes, over those whose labels hold all given pairs
// ("rule", "default"). Counters end in _total. A metric that is not exposed is zero.
func (a *Agent) Metric(name string, labels ...string) float64 {
	a.t.Helper()
	resp, err := http.Get("http://" + a.metrics + "/metrics")
	require.NoError(a.t, err)
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bufio.NewReader(resp.Body))
	require.NoError(a.t, err)
	family := families[name]
	if family == nil {
		return 0
	}
	var sum float64
series:
	for _, m := range family.Metric {
		have := map[string]string{}
		for _, l := range m.Label {
			have[l.GetName()] = l.GetValue()
		}
		for i := 0; i+1 < len(labels); i += 2 {
			if have[labels[i]] != labels[i+1] {
				continue series
			}
		}
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return sum
}

// MetricsURL is where the agent exposes its own metrics.
func (a *Agent) MetricsURL() string { return "http://" + a.metrics + "/metrics" }

// WaitForOutput waits until the agent has printed text.
func (a *Agent) WaitForOutput(text string) {
	a.t.Helper()
	require.Eventually(a.t, func() bool { return strings.Contains(a.Output(), text) },
		patience, 20*time.Millisecond, "the agent should print %q", text)
}

// output collects what a child prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// CPU is the time that the process used in its whole life. It must have ended.
func (a *Agent) CPU() time.Duration {
	state := a.cmd.ProcessState
	return state.UserTime() + state.SystemTime()
}

// Exited reports whether the process has ended.
func (a *Agent) Exited() bool {
	select {
	case <-a.exited:
		return true
	default:
		return false
	}
}
