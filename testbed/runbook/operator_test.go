package runbook

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// patience bounds every wait, on a busy machine too.
const patience = 60 * time.Second

// short is the shipped rollout with seconds for hours.
const short = `yaml:extensions::staged_migration:
  interval: 200ms
  cooldown: 1s
  stable_time: 2s
  status_interval: 1s
  violation_window: 2s
  baseline: {min_samples: 10, min_hour_samples: 5}
  report: {resolution: 1s}
  signals:
    violations: {metric: otelcol_foundation_violations, stat: increase, window: 1s, unit: "{record}"}
  criteria:
    violations: {signal: violations, threshold: "< 1", missing: pass, action: alert}
  stages:
    - {id: "1", name: monitoring, flags: [enable_migration_monitoring], soak: 1s, guard: [error_share, registry_memory, event_dedup_memory, open_spans_memory]}
    - {id: "2", name: registry, flags: [use_ets_agent_registry], soak: 2s, guard: [registry_p99], exit: [registry_table]}
    - {id: "3", name: error_context, flags: [use_logger_error_context], soak: 2s}
    - {id: "4a", name: spans, flags: [use_genserver_telemetry, use_genserver_span_management], soak: 2s}
    - {id: "4b", name: events, flags: [use_ets_sampled_events], soak: 2s, exit: [violations]}
    - {id: "5", name: enforcement, flags: [enforce_no_process_dict], soak: 1s, previous_soak: 3s, guard: [violations]}
`

// person is the one who plays the runbook: with the commands of the binary, and as an application.
type person struct {
	*testing.T
	agent   *agenttest.Agent
	backend *agenttest.Backend
	token   string // of the agent that was registered
}

func begin(t *testing.T) *person {
	b := agenttest.StartBackend(t)
	exporter := "yaml:exporters: {" + strings.Join(strings.Fields(fmt.Sprintf(
		`otlp_grpc: {endpoint: %s, tls: {insecure: true}, sending_queue: {storage: file_storage, block_on_overflow: true}}`, b.Endpoint)), " ") + "}"
	args := []string{"--config", short, "--config", exporter}
	for _, pipeline := range []string{"logs", "traces"} {
		args = append(args, "--config", "yaml:service::pipelines::"+pipeline+"::exporters: [otlp_grpc]")
	}
	a := agenttest.Start(t, agenttest.Options{Shipped: []string{"agent.yaml", "stages.yaml"}, Args: args})
	return &person{T: t, agent: a, backend: b}
}

// run runs a command of the binary and returns what it printed and its exit code.
func (p *person) run(args ...string) (string, int) {
	p.Helper()
	cmd := exec.Command(agenttest.Binary(p), args...)
	cmd.Env = append(os.Environ(), "FOUNDATION_STATE_DIR="+p.agent.StateDir, "FOUNDATION_AGENT_TOKEN="+p.token, "FOUNDATION_SOCKET="+p.agent.Socket())
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(p, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// do runs a command that must work.
func (p *person) do(args ...string) string {
	p.Helper()
	out, code := p.run(args...)
	require.Zero(p, code, "%v said: %s", args, out)
	p.Logf("$ foundation-agent %s\n%s", strings.Join(args, " "), out)
	return out
}

// refused runs a command that must end with that code.
func (p *person) refused(code int, args ...string) string {
	p.Helper()
	out, got := p.run(args...)
	require.Equal(p, code, got, "%v said: %s", args, out)
	return out
}

// read runs a command with --output json.
func read[T any](p *person, args ...string) (v T) {
	p.Helper()
	out, code := p.run(append(args, "--output", "json")...)
	require.Zero(p, code, "%v said: %s", args, out)
	require.NoError(p, json.Unmarshal([]byte(out), &v), out)
	return v
}

// advance goes to a stage as soon as its preflight allows.
func (p *person) advance(stage string) {
	p.Helper()
	for begun := time.Now(); ; {
		out, code := p.run("migrate", "advance", "--to", stage, "--reason", "runbook")
		if code == 0 {
			break
		}
		require.Less(p, time.Since(begun), patience, "stage %s: %s", stage, out)
		time.Sleep(200 * time.Millisecond)
	}
	p.Logf("stage %s is on", stage)
}

// record waits for a log record of that event at the backend.
func (p *person) record(event string, so func(agenttest.LogRecord) bool) (found agenttest.LogRecord) {
	p.Helper()
	p.backend.WaitLogs("event "+event, func(records []agenttest.LogRecord) bool {
		for _, r := range records {
			if r.EventName() == event && (so == nil || so(r)) {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

func has(key, value string) func(agenttest.LogRecord) bool {
	return func(r agenttest.LogRecord) bool {
		v, ok := r.Attributes().Get(key)
		return ok && v.AsString() == value
	}
}

// configs copies the shipped files into a directory as they were when the agent began.
func configs(t *testing.T) (dir string) {
	dir = t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "config"), 0o700))
	for _, name := range []string{"agent.yaml", "stages.yaml"} {
		text, err := os.ReadFile(filepath.Join(agenttest.Root(), "config", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "config", name), text, 0o600))
	}
	return dir
}
