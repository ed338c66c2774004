// This file sees deaths as a client of the built agent does.

package registry

import (
	"fmt"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// next waits for an event of the given type that is no replay.
func (s *sse) next(t *testing.T, typ string) agents.Event {
	t.Helper()
	for {
		if e := receive(t, s.events); e.Type == typ && !e.Replay {
			return e
		}
	}
}

// Processes that registered with the built agent are killed; a client that watches sees it within 100 ms,
// also after the agent itself was killed and started again.
func TestBuiltAgentTellsOfKills(t *testing.T) {
	const kills = 25
	agent := agenttest.Start(t, agenttest.Options{})
	register := func() []*child {
		children := make([]*child, kills)
		for i := range children {
			children[i] = startChild(t, agent.Socket(), fmt.Sprintf("worker-%02d", i), nil)
			require.Equal(t, http.StatusCreated, children[i].registered.Status, string(children[i].registered.Body))
		}
		return children
	}
	killAll := func(children []*child) []time.Duration {
		client := agenttest.UnixClient(agent.Socket())
		client.Timeout = 0
		t.Cleanup(client.CloseIdleConnections)
		s := openStream(t, client, true)
		s.next(t, agents.EventSynced)
		took := make([]time.Duration, kills)
		for i, c := range children {
			start := time.Now()
			require.NoError(t, c.cmd.Process.Kill())
			e := s.next(t, agents.EventDown)
			took[i] = time.Since(start)
			assert.Equal(t, fmt.Sprintf("worker-%02d", i), e.Down.AgentID)
			assert.Equal(t, c.pid(), e.Down.PID)
			assert.Equal(t, agents.ReasonExited, e.Down.Reason)
			assert.Equal(t, "SIGKILL", e.Down.Signal)
		}
		return took
	}
	took := killAll(register())

	children := register()
	agent.Kill()
	gone := children[kills-1]
	require.NoError(t, gone.cmd.Process.Kill()) // while nobody watches
	_ = gone.cmd.Wait()
	agent = agenttest.Start(t, agenttest.Options{StateDir: agent.StateDir})
	client := agenttest.UnixClient(agent.Socket())
	client.Timeout = 0
	t.Cleanup(client.CloseIdleConnections)
	replay := openStream(t, client, true)
	for e := receive(t, replay.events); ; e = receive(t, replay.events) {
		require.NotEqual(t, agents.EventSynced, e.Type, "the death of meanwhile is replayed")
		if e.Down != nil && e.Down.PID == gone.pid() {
			break
		}
	}
	children[kills-1] = startChild(t, agent.Socket(), fmt.Sprintf("worker-%02d", kills-1), nil)
	took = append(took, killAll(children)...)
	slices.Sort(took)
	median := took[len(took)/2]
	t.Logf("from kill -9 to the event at the client, %d kills: median %v, p90 %v, longest %v", len(took), median, took[len(took)*9/10], took[len(took)-1])
	assert.Less(t, median, 100*time.Millisecond)
	assert.Equal(t, float64(kills), agent.Metric("otelcol_agent_registry_deaths", "reason", agents.ReasonExited)-1)
}

// SIGSTOP of the agent does not cost anybody the lease.
func TestBuiltAgentCountsNoLeaseWhileStopped(t *testing.T) {
	agent := agenttest.Start(t, agenttest.Options{})
	c := startChild(t, agent.Socket(), "beats", map[string]any{"lease": "1s"})
	require.Equal(t, http.StatusCreated, c.registered.Status, string(c.registered.Body))
	far := leased(t, agent)
	agent.Signal(syscall.SIGSTOP)
	time.Sleep(3 * time.Second) // time itself is what is tested
	agent.Signal(syscall.SIGCONT)
	assert.Equal(t, http.StatusOK, far())
	a := c.call(t, "POST", "/v1/agents/beats/heartbeat", "")
	require.Equal(t, http.StatusOK, a.Status)
	assert.Zero(t, agent.Metric("otelcol_agent_registry_entries", "state", "unresponsive"))
	assert.Zero(t, agent.Metric("otelcol_agent_registry_deaths"))
}

// leased registers over TCP, where only the lease tells, and returns a beat.
func leased(t *testing.T, agent *agenttest.Agent) (beat func() int) {
	t.Helper()
	do := func(method, path, body, token string) childAnswer {
		client := &http.Client{Transport: withToken{token: token, to: "http://" + agent.Door}}
		return call(client, method, path, []byte(body))
	}
	a := do("PUT", "/v1/agents/far", `{"lease":"1s"}`, "")
	require.Equal(t, http.StatusCreated, a.Status, string(a.Body))
	token := tokenIn(t, a.Body)
	return func() int { return do("POST", "/v1/agents/far/heartbeat", "", token).Status }
}
