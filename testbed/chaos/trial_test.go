package chaos

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/backend"
	"github.com/foundation-agent/foundation-agent/testbed/shipped"
)

//go:embed overlay.yaml
var overlay string

const (
	// window of event_dedup in overlay.yaml.
	window = time.Second
	// storageInterval is the shipped one; grace is what a write itself may take on a busy machine.
	storageInterval = 200 * time.Millisecond
	grace           = 300 * time.Millisecond
	// patience bounds every wait.
	patience = time.Minute
)

// trial is one fault: an agent of the shipped configuration with a backend behind it and a load before it.
type trial struct {
	*testing.T
	backend *backend.Backend
	agent   *agenttest.Agent
	options agenttest.Options
	otlp    string // stays the same over restarts
	pprof   string
	load    *traffic
	// mayLose is how many accepted records of each kind the promise lets go: more than none for kill -9 only.
	mayLose map[kind]int
	seen    string
}

func newTrial(t *testing.T) *trial {
	b, err := backend.Start()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Stop()) })
	tr := &trial{
		T:       t,
		backend: b,
		otlp:    fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(t)),
		pprof:   fmt.Sprintf("127.0.0.1:%d", agenttest.FreePort(t)),
		mayLose: map[kind]int{},
	}
	tr.options = agenttest.Options{
		StateDir: t.TempDir(),
		Env: []string{
			"OTLP_ENDPOINT=" + tr.otlp, "PPROF_ENDPOINT=" + tr.pprof, "OTEL_EXPORTER_OTLP_ENDPOINT=" + b.Endpoint,
		},
		Args: shipped.Args(t, nil, overlay),
	}
	return tr
}

// with adds an overlay to the configuration of the lives that follow.
func (t *trial) with(yaml string) {
	t.options.Args = append(t.options.Args, "--config", t.file("more.yaml", yaml))
}

func (t *trial) file(name, text string) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// start begins a life on the trial's state directory.
func (t *trial) start() { t.agent = agenttest.Start(t, t.options) }

// run begins a life under load.
func (t *trial) run() {
	t.start()
	t.load = begin(t)
	t.load.flows(t)
}

// kill is kill -9 under load. It says how much may be lost: what was acknowledged since the last write that is
// sure to have been made.
func (t *trial) kill() {
	safe := t.load.acceptedBefore(time.Now().Add(-storageInterval - grace))
	t.agent.Kill()
	for k, n := range t.load.acceptedBefore(time.Now()) {
		t.mayLose[k] += n - safe[k]
	}
}

// note adds to what was seen.
func (t *trial) note(format string, args ...any) {
	if t.seen != "" {
		t.seen += "; "
	}
	t.seen += fmt.Sprintf(format, args...)
}

// until waits for something that takes its time.
func (t *trial) until(what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, patience, 20*time.Millisecond, what)
}

// rewrite replaces a file in place.
func (t *trial) rewrite(path, text string) {
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}
