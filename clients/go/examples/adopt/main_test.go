package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

func TestAdopt(t *testing.T) {
	agent := agenttest.Start(t, agenttest.Options{})
	require.NoError(t, run(t.Context(), "unix:"+agent.Socket()))
	agent.WaitForOutput("EventName: cart.timeout")
	agent.WaitForOutput("agent.id: Str(shop)")
	agent.Stop()
	require.Less(t, strings.Count(agent.Output(), "EventName: cart.timeout"), 100, "floods are deduplicated")
}
