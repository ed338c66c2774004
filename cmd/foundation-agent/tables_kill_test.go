package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

const (
	keptKeys  = 20_000
	keptSpans = 2_000
)

// keepKeys is an overlay in which keys outlive the test and mean the same to every agent.
const keepKeys = "yaml:processors::event_dedup: {key_secret: 0123456789abcdef0123456789abcdef, rules: [{name: events, match: {events: [e]}, dedup: {window: 1h, emit: first_and_summary}}]}"

func tablesCommand(t *testing.T, a *agenttest.Agent, args ...string) *exec.Cmd {
	cmd := exec.Command(agenttest.Binary(t), append([]string{"tables"}, args...)...)
	cmd.Env = append(os.Environ(), "FOUNDATION_STATE_DIR="+a.StateDir)
	return cmd
}

// held is how many keys and how many open spans an agent holds.
type held struct{ keys, spans int64 }

func heldBy(t *testing.T, a *agenttest.Agent) held {
	out, err := tablesCommand(t, a, "info", "event_dedup/keys", "open_spans/spans", "--output", "json").Output()
	require.NoError(t, err, string(out))
	var v struct{ Tables []operator.TableView }
	require.NoError(t, json.Unmarshal(out, &v))
	return held{v.Tables[0].Entries, v.Tables[1].Entries}
}

// fill gives an agent that many keys and open spans.
func fill(t *testing.T, source *agenttest.Agent) {
	for from := 0; from < keptKeys; from += 5000 {
		var lines strings.Builder
		for i := range 5000 {
			fmt.Fprintf(&lines, `{"name":"e","metadata":{"dedup_key":"k%d"}}`+"\n", from+i)
		}
		status, answer := source.Post("/v1/events", "application/x-ndjson", lines.String())
		require.Equal(t, http.StatusAccepted, status, answer)
	}
	var starts strings.Builder
	for i := range keptSpans {
		fmt.Fprintf(&starts, `{"call":"span.start","name":"s%d"}`+"\n", i)
	}
	status, answer := source.Post("/v1/events", "application/x-ndjson", starts.String())
	require.Equal(t, http.StatusAccepted, status, answer)
}

// TestKillDuringRestoreLeavesNothingHalf kills the agent at random moments of backups and restores.
func TestKillDuringRestoreLeavesNothingHalf(t *testing.T) {
	const kills = 20
	options := agenttest.Options{Args: []string{"--config", keepKeys}}
	source := agenttest.Start(t, options)
	fill(t, source)
	full := held{keptKeys, keptSpans}
	file := filepath.Join(t.TempDir(), "tables.tar.zst")
	start := time.Now()
	out, err := tablesCommand(t, source, "backup", file).CombinedOutput()
	require.NoError(t, err, string(out))
	whole := time.Since(start)
	t.Logf("a whole backup of %d keys took %s", keptKeys, whole)

	for range kills {
		killed := file + ".killed"
		backup := tablesCommand(t, source, "backup", killed)
		require.NoError(t, backup.Start())
		time.Sleep(rand.N(whole)) // the moment is the point
		source.Kill()
		if backup.Wait() != nil {
			require.NoFileExists(t, killed, "a backup that broke off leaves no file")
		}
		options.StateDir = source.StateDir
		source = agenttest.Start(t, options)
		_ = os.Remove(killed) // there is none where it broke off
	}

	resumed := 0
	restore := func(after time.Duration) (said string, now held, took time.Duration) {
		options.StateDir = ""
		target := agenttest.Start(t, options)
		cmd := tablesCommand(t, target, "restore", file, "--table", "event_dedup/keys,open_spans/spans")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		start := time.Now()
		require.NoError(t, cmd.Start())
		if after > 0 {
			time.Sleep(after) // the moment is the point
			target.Kill()
		}
		_ = cmd.Wait() // what it said tells how it ended
		took = time.Since(start)
		target.Kill()
		options.StateDir = target.StateDir
		target = agenttest.Start(t, options)
		now = heldBy(t, target)
		if strings.Contains(target.Output(), "A restore was cut short") {
			resumed++
		}
		target.Kill()
		return out.String(), now, took
	}
	said, now, whole := restore(0)
	require.Equal(t, full, now, "an acknowledged restore survives kill -9: %s", said)
	t.Logf("a whole restore took %s", whole)
	seen := map[held]int{}
	for range kills {
		_, now, _ := restore(rand.N(whole + whole/4))
		require.Contains(t, []held{{}, full}, now, "never half a table, nor one table old and one new")
		seen[now]++
	}
	t.Logf("held after kills: %v; %d times the next start completed the restore", seen, resumed)
}
