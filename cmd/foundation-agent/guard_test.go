package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// guarded is an agent whose guard watches a stage, and the backend that it exports to.
type guarded struct {
	*testing.T
	agent   *agenttest.Agent
	backend *agenttest.Backend
}

// startGuarded starts the agent with the shipped stages, shortened, and more configuration of the test's.
func startGuarded(t *testing.T, more ...string) *guarded {
	t.Parallel()
	b := agenttest.StartBackend(t)
	args := []string{"--config", filepath.Join("testdata", "guard.yaml"), "--config", "yaml:exporters:\n  " + b.Exporter()}
	more = append(more, "service::pipelines::logs::exporters: [otlp]", "service::pipelines::traces::exporters: [otlp]")
	for _, overlay := range more {
		args = append(args, "--config", "yaml:"+overlay)
	}
	a := agenttest.Start(t, agenttest.Options{Shipped: []string{"agent.yaml", "stages.yaml"}, Args: args})
	return &guarded{T: t, agent: a, backend: b}
}

// call makes one request over a unix socket, and expects it to be answered well.
func (g *guarded) call(socket, method, path, body string) string {
	g.Helper()
	client := agenttest.UnixClient(socket)
	defer client.CloseIdleConnections()
	req, err := http.NewRequest(method, "http://agent"+path, strings.NewReader(body))
	require.NoError(g, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	require.NoError(g, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(g, err)
	require.Less(g, resp.StatusCode, http.StatusBadRequest, "%s %s: %s", method, path, answer)
	return string(answer)
}

// command is one of the operators' commands.
func (g *guarded) command(args ...string) *exec.Cmd {
	g.Helper()
	cmd := exec.Command(agenttest.Binary(g), args...)
	cmd.Env = append(os.Environ(), "FOUNDATION_STATE_DIR="+g.agent.StateDir)
	return cmd
}

// until waits until the migration is so.
func (g *guarded) until(what string, so func(operator.MigrationStatus) bool) (s operator.MigrationStatus) {
	g.Helper()
	begun := time.Now()
	for s = migrationStatus(g.T, g.agent); !so(s); s = migrationStatus(g.T, g.agent) {
		require.Less(g, time.Since(begun), time.Minute, "%s: %+v", what, s)
		time.Sleep(20 * time.Millisecond) // between two looks
	}
	return s
}

// judged waits until the agent has looked at its signals once more.
func (g *guarded) judged() operator.MigrationStatus {
	g.Helper()
	before := migrationStatus(g.T, g.agent).Sampled
	return g.until("the agent looks at its signals", func(s operator.MigrationStatus) bool { return s.Sampled.After(before) })
}

// baseline collects one while the service does what it usually does.
func (g *guarded) baseline(usual func()) {
	g.Helper()
	g.judged() // the sources are known
	g.call(g.agent.ControlSocket(), http.MethodPost, "/v1/baseline", `{"name":"before","seconds":2}`)
	for begun := time.Now(); migrationStatus(g.T, g.agent).Baseline == ""; g.judged() {
		require.Less(g, time.Since(begun), time.Minute, "the baseline is complete")
		usual()
	}
}

// suffers holds the guard against a trouble that one strike makes, and that is over by itself within seconds.
// One strike is forgiven; strikes that go on roll the stage back.
func (g *guarded) suffers(criterion string, strike func()) {
	g.Helper()
	is := func(state string) func(operator.MigrationStatus) bool {
		return func(s operator.MigrationStatus) bool { return criterionOf(s, criterion).State == state }
	}
	require.True(g, migrate(g.agent, "advance"))
	require.True(g, migrate(g.agent, "advance"))

	strike()
	g.until("the trouble is seen", is("pending"))
	s := g.until("the trouble is over", func(s operator.MigrationStatus) bool { return !is("pending")(s) })
	require.NotEqual(g, "breached", criterionOf(s, criterion).State)
	require.Equal(g, "2", s.Stage, "brief trouble rolls nothing back")
	require.Equal(g, "advance", s.LastChange.Kind)
	require.Zero(g, g.agent.Metric("otelcol_staged_migration_changes", "kind", "rollback"))

	for begun := time.Now(); s.Stage == "2"; s = g.judged() {
		require.Less(g, time.Since(begun), time.Minute, "lasting trouble rolls the stage back: %+v", criterionOf(s, criterion))
		strike()
	}
	g.requireRolledBack(criterion)
}

// requireRolledBack looks at the flags, the history, the metric, the log and the event of the rollback.
func (g *guarded) requireRolledBack(criterion string) {
	g.Helper()
	s := migrationStatus(g.T, g.agent)
	require.Equal(g, "1", s.Stage)
	for name, on := range s.Flags {
		require.Equal(g, name == "enable_migration_monitoring", on, name)
	}

	out, err := g.command("migrate", "history", "--output", "json").Output()
	require.NoError(g, err)
	var history operator.MigrationHistory
	require.NoError(g, json.Unmarshal(out, &history))
	entry := history.Entries[len(history.Entries)-1]
	require.Equal(g, "rollback", entry.Kind)
	require.Equal(g, []string{"2", "1"}, []string{entry.From, entry.To})
	require.True(g, entry.Persisted)
	require.Len(g, entry.Criteria, 1, "%+v", entry.Criteria)
	because := entry.Criteria[0]
	require.Equal(g, criterion, because.Name)
	require.Greater(g, *because.Value, *because.Limit)
	if strings.HasPrefix(because.Threshold, "+") {
		require.Positive(g, *because.Baseline)
		require.Greater(g, *because.Limit, *because.Baseline)
	}
	g.Logf("%s; it took %s", entry.Reason, entry.At.Sub(because.Since))

	require.EqualValues(g, 1, g.agent.Metric("otelcol_staged_migration_changes", "kind", "rollback"))
	g.agent.WaitForOutput("Stage rolled back")
	require.Contains(g, g.agent.Output(), criterion+" is breached: "+because.Signal)
	g.backend.WaitLogs("the event of the rollback", func(records []agenttest.LogRecord) bool {
		for _, r := range records {
			if r.EventName() == "foundation.migration.rollback" {
				told, ok := r.Attributes().Get("migration.criteria")
				require.True(g, ok)
				first := told.Slice().At(0).Map().AsRaw()
				assert.Equal(g, criterion, first["name"])
				assert.InDelta(g, *because.Value, first["value"], 1e-9)
				return true
			}
		}
		return false
	})
}

func criterionOf(s operator.MigrationStatus, name string) (found operator.MigrationCriterion) {
	for _, c := range s.Criteria {
		if c.Name == name {
			found = c
		}
	}
	return found
}
