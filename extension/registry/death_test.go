package registry

import (
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

func TestKilledProcessIsDown(t *testing.T) {
	x := start(t, t.TempDir(), nil, nil)
	c := startChild(t, x.socket, "worker", map[string]any{"labels": map[string]string{"zone": "a"}})
	require.Equal(t, http.StatusCreated, c.registered.Status, string(c.registered.Body))

	var a agents.Agent
	require.Equal(t, http.StatusOK, x.do(t, "GET", "/v1/agents/worker", "", &a))
	assert.Equal(t, c.pid(), a.PID)
	assert.Equal(t, agents.WatchPidfd, a.Watch)
	assert.Equal(t, "a", a.Labels["zone"])

	events := x.see(t)
	require.NoError(t, c.cmd.Process.Kill())
	down := events.next(t, agents.EventDown).Down
	assert.Equal(t, "worker", down.AgentID)
	assert.Equal(t, a.Instance, down.Instance)
	assert.Equal(t, agents.ReasonExited, down.Reason)
	assert.Equal(t, "SIGKILL", down.Signal)
	assert.False(t, down.Normal)
	assert.Equal(t, http.StatusNotFound, x.do(t, "GET", "/v1/agents/worker", "", nil))
}

func TestNormalExitIsNoError(t *testing.T) {
	x := start(t, "", nil, nil)
	events := x.see(t)
	c := startChild(t, x.socket, "worker", nil)
	_, err := c.in.Write([]byte("exit 0\n"))
	require.NoError(t, err)
	down := events.next(t, agents.EventDown).Down
	require.NotNil(t, down.ExitCode)
	assert.Equal(t, 0, *down.ExitCode)
	assert.True(t, down.Normal)

	c = startChild(t, x.socket, "worker", nil)
	_, err = c.in.Write([]byte("exit 3\n"))
	require.NoError(t, err)
	down = events.next(t, agents.EventDown).Down
	require.NotNil(t, down.ExitCode)
	assert.Equal(t, 3, *down.ExitCode)
	assert.False(t, down.Normal)
}

func TestDeathDuringOurAbsenceIsReported(t *testing.T) {
	dir := t.TempDir()
	x := start(t, dir, nil, nil)
	dies := startChild(t, x.socket, "dies", nil)
	lives := startChild(t, x.socket, "lives", nil)
	require.Equal(t, http.StatusCreated, dies.registered.Status)
	require.Equal(t, http.StatusCreated, lives.registered.Status)
	x.stop()
	require.NoError(t, dies.cmd.Process.Kill())
	_ = dies.cmd.Wait()

	x = start(t, dir, nil, nil)
	downs := make(chan agents.Down, 10)
	t.Cleanup(x.WatchDowns(func(d agents.Down) { downs <- d }))
	down := receive(t, downs)
	assert.Equal(t, "dies", down.AgentID)
	assert.Equal(t, agents.ReasonExited, down.Reason)
	var a agents.Agent
	require.Equal(t, http.StatusOK, x.do(t, "GET", "/v1/agents/lives", "", &a))
	assert.Equal(t, agents.WatchPidfd, a.Watch)

	require.NoError(t, lives.cmd.Process.Kill())
	down = receive(t, downs)
	assert.Equal(t, "lives", down.AgentID)
	assert.Equal(t, "SIGKILL", down.Signal)
}

// A later process that got the pid of one that died is not taken for it.
func TestReusedPidIsNotTheOldProcess(t *testing.T) {
	dir := t.TempDir()
	x := start(t, dir, nil, nil)
	c := startChild(t, x.socket, "worker", nil)
	require.Equal(t, http.StatusCreated, c.registered.Status)
	x.stop()
	require.NoError(t, c.cmd.Process.Kill())
	_ = c.cmd.Wait()
	reusePid(t, c.pid())

	x = start(t, dir, nil, nil)
	_, err := x.Get("worker")
	require.ErrorIs(t, err, agents.ErrNotFound)
	downs := x.hub.downs(x.now())
	require.Len(t, downs, 1)
	assert.Equal(t, agents.ReasonExited, downs[0].Reason)
}

// reusePid starts a process with the given pid, for which the kernel is told the last one that it gave.
func reusePid(t *testing.T, pid int32) {
	t.Helper()
	for range 100 { // others start processes too
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(int(pid)-1)), 0); err != nil {
			t.Skip("the next pid cannot be set here: ", err)
		}
		cmd := exec.Command("sleep", "100")
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		if int32(cmd.Process.Pid) == pid {
			return
		}
	}
	t.Skip("another process was faster each time")
}
