package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// keep is an overlay in which keys outlive the test; the secret is made up by each agent.
const keep = `yaml:processors::event_dedup: {rules: [{name: events, match: {events: ["*"]}, dedup: {window: 1h, emit: first_and_summary}}]}`

func backup(t *testing.T, a *agenttest.Agent) (file string) {
	file = filepath.Join(t.TempDir(), "tables.tar.zst")
	out, err := tablesCommand(t, a, "backup", file).CombinedOutput()
	require.NoError(t, err, string(out))
	return file
}

// The host is lost with its state directory and the secret in it: a fresh agent suppresses what the lost one had seen.
func TestRestoreIntoAFreshStateDirectory(t *testing.T) {
	options := agenttest.Options{Args: []string{"--config", keep}}
	lost := agenttest.Start(t, options)
	event := func(a *agenttest.Agent, key string) {
		status, answer := a.Post("/v1/events", "application/json", fmt.Sprintf(`{"name":"e","metadata":{"dedup_key":%q}}`, key))
		require.Equal(t, http.StatusAccepted, status, answer)
	}
	event(lost, "seen")
	file := backup(t, lost)
	lost.Kill()

	fresh := agenttest.Start(t, options)
	event(fresh, "new")
	out, err := tablesCommand(t, fresh, "restore", file, "--reason", "lost the disk").CombinedOutput()
	require.NoError(t, err, string(out))
	event(fresh, "seen")
	require.EqualValues(t, 1, fresh.Metric("otelcol_event_dedup_suppressed"), "a duplicate of what left before the loss")
	fresh.Kill()

	options.StateDir = fresh.StateDir
	fresh = agenttest.Start(t, options)
	event(fresh, "seen")
	require.EqualValues(t, 1, fresh.Metric("otelcol_event_dedup_suppressed"), "after kill -9 too")
	in, out2, holds := fresh.Metric("otelcol_event_dedup_in"), fresh.Metric("otelcol_event_dedup_out"), fresh.Metric("otelcol_event_dedup_held")
	require.EqualValues(t, in+fresh.Metric("otelcol_event_dedup_restored"), out2+holds, "the account is straight")
}

// A storage that takes no more refuses the second table: the first lets go of what it had taken in.
func TestRestoreThatCannotBeStoredIsUndone(t *testing.T) {
	options := agenttest.Options{Args: []string{"--config", keepKeys}}
	source := agenttest.Start(t, options)
	fill(t, source)
	file := backup(t, source)
	options.Args = append(options.Args, "--config", "yaml:extensions::file_storage: {max_size: 262144, compaction: {on_rebound: false, rebound_needed_threshold_mib: 0, rebound_trigger_threshold_mib: 0}}")
	full := agenttest.Start(t, options)
	status, answer := full.Post("/v1/events", "application/json", `{"name":"e","metadata":{"dedup_key":"mine"}}`)
	require.Equal(t, http.StatusAccepted, status, answer)
	out, err := tablesCommand(t, full, "restore", file).CombinedOutput()
	require.Error(t, err, string(out))
	require.Contains(t, string(out), "nothing was restored")
	require.Contains(t, string(out), "available space")
	require.Equal(t, held{keys: 1}, heldBy(t, full))
}

// A restore brings flags back as changes of the operator's, each in the audit.
func TestRestoreOfFlagsIsAudited(t *testing.T) {
	a := agenttest.Start(t, agenttest.Options{Shipped: []string{"agent.yaml", "stages.yaml"}})
	run := func(args ...string) string {
		cmd := exec.Command(agenttest.Binary(t), args...)
		cmd.Env = append(os.Environ(), "FOUNDATION_STATE_DIR="+a.StateDir)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	run("flags", "enable", "use_ets_sampled_events", "--reason", "stage 4b")
	file := backup(t, a)
	run("flags", "disable", "use_ets_sampled_events", "--reason", "trouble")
	require.Contains(t, run("tables", "info"), "feature_flags/overrides")
	out := run("tables", "restore", file, "--reason", "trouble is over")
	require.Contains(t, out, "flag use_ets_sampled_events: off -> on")

	resp, err := agenttest.UnixClient(a.ControlSocket()).Get("http://agent/v1/audit")
	require.NoError(t, err)
	defer resp.Body.Close()
	var audit struct {
		Mutations []struct{ Change, Reason string }
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&audit))
	require.Contains(t, audit.Mutations, struct{ Change, Reason string }{
		"feature_flags/overrides: flag use_ets_sampled_events: off -> on", "trouble is over",
	})
	require.Contains(t, run("flags", "get", "use_ets_sampled_events"), "restore of a backup: trouble is over")
	a.WaitForOutput("flag use_ets_sampled_events changed from off to on") // the event in the pipeline
}
