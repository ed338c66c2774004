package registry

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

func shortLeases(c *Config) { c.Lease = LeaseConfig{Default: minLease, Min: minLease, Max: time.Hour} }

func TestLostLeaseIsDown(t *testing.T) {
	x := start(t, "", nil, shortLeases)
	events := x.see(t)
	var done registered
	require.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/far", `{}`, "", &done))
	until := time.Now().Add(3 * minLease)
	for time.Now().Before(until) { // it beats, so it stays
		require.Equal(t, http.StatusOK, x.doTCP(t, "POST", "/v1/agents/far/heartbeat", `{"vitals":{"memory":1}}`, done.Token, nil))
		time.Sleep(minLease / 10)
	}
	beaten := time.Now()
	down := events.next(t, agents.EventDown).Down
	assert.Equal(t, agents.ReasonLeaseLost, down.Reason)
	assert.Greater(t, time.Since(beaten), minLease-3*sweepEvery) // ticks may be late, and catch up
	assert.Equal(t, http.StatusNotFound, x.doTCP(t, "POST", "/v1/agents/far/heartbeat", ``, done.Token, nil))
}

func TestMissedBeatsOfALivingProcessAreNoDeath(t *testing.T) {
	x := start(t, "", nil, shortLeases)
	c := startChild(t, x.socket, "stuck", map[string]any{"lease": minLease.String()})
	events := x.see(t)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGSTOP))
	a := events.next(t, agents.EventUnresponsive).Agent
	assert.Equal(t, agents.StateUnresponsive, a.State)
	assert.Equal(t, http.StatusOK, x.do(t, "GET", "/v1/agents/stuck", "", nil))
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGCONT))
	require.Equal(t, http.StatusOK, c.call(t, "POST", "/v1/agents/stuck/heartbeat", "").Status)
	assert.Equal(t, agents.StateUp, events.next(t, agents.EventResponsive).Agent.State)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGSTOP))
	events.next(t, agents.EventUnresponsive)
	require.NoError(t, c.cmd.Process.Kill())
	assert.Equal(t, agents.ReasonExited, events.next(t, agents.EventDown).Down.Reason)
}

// Without pidfds a lease tells, and the end of a process that is known is looked up.
func TestWithoutPidfdLeasesTell(t *testing.T) {
	x := start(t, "", nil, shortLeases)
	x.watcher.Close()
	x.watcher = nil
	c := startChild(t, x.socket, "leased", nil)
	var a agents.Agent
	x.do(t, "GET", "/v1/agents/leased", "", &a)
	assert.Equal(t, agents.WatchLease, a.Watch)
	assert.Equal(t, agents.Duration(minLease), a.Lease)
	events := x.see(t)
	events.next(t, agents.EventUnresponsive)
	require.NoError(t, c.cmd.Process.Kill())
	assert.Equal(t, agents.ReasonExited, events.next(t, agents.EventDown).Down.Reason)
}

func TestLeaseClockCountsOnlyTimeInWhichWeRan(t *testing.T) {
	start := time.Now()
	c := leaseClock{last: start}
	assert.True(t, c.tick(start.Add(sweepEvery)))
	assert.Equal(t, int64(sweepEvery), c.now.Load())
	assert.False(t, c.tick(start.Add(time.Hour)), "no judgement right after a stop")
	assert.LessOrEqual(t, c.now.Load(), int64(3*sweepEvery))
	assert.True(t, c.tick(start.Add(time.Hour+sweepEvery)))
}
