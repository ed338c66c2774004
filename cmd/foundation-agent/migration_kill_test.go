package main

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// oneStage is an overlay with two stages, the second of all flags that remain, and no waits.
const oneStage = `yaml:extensions::staged_migration: {cooldown: 0s, interval: 1s, stages: [
  {id: "1", name: first, flags: [enable_migration_monitoring]},
  {id: "2", name: rest, flags: [use_ets_agent_registry, use_logger_error_context, use_genserver_telemetry, use_genserver_span_management, use_ets_sampled_events, enforce_no_process_dict]}]}`

// migrate posts a change of stage; acknowledged is false where the agent did not answer, or refused.
func migrate(a *agenttest.Agent, verb string) (acknowledged bool) {
	client := agenttest.UnixClient(a.ControlSocket())
	defer client.CloseIdleConnections()
	resp, err := client.Post("http://agent/v1/migration/"+verb+"?reason=test", "application/json", strings.NewReader("{}"))
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func migrationStatus(t *testing.T, a *agenttest.Agent) (s operator.MigrationStatus) {
	client := agenttest.UnixClient(a.ControlSocket())
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://agent/v1/migration")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&s))
	return s
}

// TestKillDuringAdvanceLeavesNoHalfStage kills the agent at random moments of advances and rollbacks:
// FOUNDATION_KILLS times each, or a few.
func TestKillDuringAdvanceLeavesNoHalfStage(t *testing.T) {
	kills, err := strconv.Atoi(os.Getenv("FOUNDATION_KILLS"))
	if err != nil {
		kills = 3
	}
	options := agenttest.Options{Shipped: []string{"agent.yaml", "stages.yaml"}, Args: []string{"--config", oneStage}}
	a := agenttest.Start(t, options)
	require.True(t, migrate(a, "advance"))
	start := time.Now()
	require.True(t, migrate(a, "advance"))
	whole := time.Since(start)
	require.True(t, migrate(a, "rollback"))
	t.Logf("a whole advance took %s", whole)

	seen := map[string]int{}
	for range kills {
		for verb, target := range map[string]string{"advance": "2", "rollback": "1"} {
			if migrationStatus(t, a).Stage == target { // the one before was cut: make it so
				other := map[string]string{"advance": "rollback", "rollback": "advance"}[verb]
				require.True(t, migrate(a, other))
			}
			answered := make(chan bool, 1)
			go func() { answered <- migrate(a, verb) }()
			time.Sleep(rand.N(whole)) // the moment is the point
			a.Kill()
			acknowledged := <-answered
			options.StateDir = a.StateDir
			a = agenttest.Start(t, options)
			s := migrationStatus(t, a)
			require.Empty(t, s.Drift, "half a stage: %+v", s.Flags)
			for _, stage := range s.Stages {
				require.NotEqual(t, "partly", stage.State, "%+v", s.Flags)
			}
			if acknowledged {
				require.Equal(t, target, s.Stage, "an acknowledged %s survives kill -9", verb)
			}
			seen[verb+" left stage "+s.Stage]++
		}
	}
	t.Logf("after %d kills of each: %v", kills, seen)
}
