package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// Before each stage that switches spans or error context, its preview tells what it would do to the traffic now
// passing.
func TestPreviewOfStages(t *testing.T) {
	a := agenttest.Start(t, agenttest.Options{Shipped: []string{"agent.yaml", "stages.yaml"}})
	preview := func(stage string) map[string]operator.Preview {
		cmd := exec.Command(agenttest.Binary(t), "migrate", "preview", "--stage", stage, "--for", "0s", "--output", "json")
		cmd.Env = append(os.Environ(), "FOUNDATION_STATE_DIR="+a.StateDir)
		out, err := cmd.Output()
		require.NoError(t, err, string(out))
		var p operator.MigrationPreview
		require.NoError(t, json.Unmarshal(out, &p))
		require.Empty(t, p.Silent, "every flag of the stage is told of")
		effects := map[string]operator.Preview{}
		for _, effect := range p.Effects {
			effects[effect.Flag] = effect
		}
		return effects
	}
	preview("3") // begins the look
	preview("4a")
	status, answer := a.Post("/v1/events", "application/json", `{"name":"e"}`)
	require.Equal(t, http.StatusAccepted, status, answer)
	status, answer = a.Post("/v1/spans/start", "application/json", `{"name":"s"}`)
	require.GreaterOrEqual(t, status, 400, "calls are off: %s", answer)

	context := preview("3")["use_logger_error_context"]
	require.Contains(t, context.Summary, "would gain error context")
	spans := preview("4a")
	require.Contains(t, spans["use_genserver_telemetry"].Summary, "1 of the 1 spans that they start would be open now")
	require.Contains(t, spans["use_genserver_span_management"].Summary, "of 0 spans that are open without management")
}
