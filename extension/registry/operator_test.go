package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// operate calls the operators' API.
func (x *running) operate(t *testing.T, method, path, body string, v any) int {
	t.Helper()
	mux := http.NewServeMux()
	for _, rt := range x.OperatorRoutes() {
		mux.HandleFunc(rt.Pattern, rt.Handler)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	if v != nil {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), v), w.Body)
	}
	return w.Code
}

func TestOperatorRegistersAProcess(t *testing.T) {
	x := start(t, "", nil, nil)
	c := startChild(t, x.socket, "its-own", nil)
	var done registered
	require.Equal(t, http.StatusCreated, x.operate(t, "PUT", "/v1/agents/given?author=ops&reason=runbook", fmt.Sprintf(`{"pid":%d}`, c.pid()), &done))
	assert.Equal(t, c.pid(), done.Agent.PID)
	assert.Equal(t, agents.WatchPidfd, done.Agent.Watch)
	assert.Equal(t, "operator", done.Agent.Via)
	assert.Equal(t, http.StatusOK, x.operate(t, "PUT", "/v1/agents/given", fmt.Sprintf(`{"pid":%d}`, c.pid()), nil))
	assert.Equal(t, http.StatusBadRequest, x.operate(t, "PUT", "/v1/agents/other", `{}`, nil))
	assert.Equal(t, http.StatusConflict, x.operate(t, "PUT", "/v1/agents/other", `{"pid":4194304}`, nil))
	assert.Equal(t, http.StatusOK, c.call(t, "POST", "/v1/agents/given/heartbeat", "").Status, "it is the process's own now")

	var p page
	require.Equal(t, http.StatusOK, x.operate(t, "GET", "/v1/agents?via=operator&author=ops", "", &p))
	assert.Equal(t, 1, p.Total)
	events := x.see(t)
	require.NoError(t, c.cmd.Process.Kill())
	assert.ElementsMatch(t, []string{"given", "its-own"}, []string{events.next(t, agents.EventDown).Down.AgentID, events.next(t, agents.EventDown).Down.AgentID})
}

func TestOperatorSeesTheShadowWhenAsked(t *testing.T) {
	x := start(t, "", &switchable{}, nil)
	startChild(t, x.socket, "worker", nil)
	assert.Equal(t, http.StatusConflict, x.operate(t, "GET", "/v1/agents/worker", "", nil))
	assert.Equal(t, http.StatusOK, x.operate(t, "GET", "/v1/agents/worker?shadow=true", "", nil))
	assert.Equal(t, http.StatusConflict, x.do(t, "GET", "/v1/agents/worker?shadow=true", "", nil), "not an application")
}

func TestBackupAndRestore(t *testing.T) {
	x := start(t, t.TempDir(), nil, nil)
	stays := startChild(t, x.socket, "stays", nil)
	dies := startChild(t, x.socket, "dies", nil)
	var far registered
	require.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/far", `{"labels":{"a":"b"}}`, "", &far))
	tables := x.OperatorTables()
	require.Len(t, tables, 1)
	assert.Equal(t, "agent_registry/agents", tables[0].Name())
	assert.Equal(t, int64(3), tables[0].Info().Entries)
	var backup bytes.Buffer
	_, err := tables[0].(operator.Backuper).Backup(t.Context(), &backup)
	require.NoError(t, err)

	events := x.see(t)
	require.NoError(t, dies.cmd.Process.Kill())
	events.next(t, agents.EventDown)
	require.Equal(t, http.StatusNoContent, stays.call(t, "DELETE", "/v1/agents/stays", "").Status)
	require.Equal(t, http.StatusNoContent, x.doTCP(t, "DELETE", "/v1/agents/far", "", far.Token, nil))

	restoration, err := tables[0].(operator.Backuper).Restore(t.Context(), bytes.NewReader(backup.Bytes()))
	require.NoError(t, err)
	assert.Zero(t, x.byID.Len(), "nothing changes before apply")
	n, err := restoration.Apply()
	require.NoError(t, err)
	assert.Equal(t, int64(2), n, "the dead stay dead")
	require.NoError(t, restoration.Undo())
	assert.Zero(t, x.byID.Len())
	_, err = restoration.Apply()
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, x.doTCP(t, "POST", "/v1/agents/far/heartbeat", "", far.Token, nil))
	require.NoError(t, stays.cmd.Process.Kill())
	for events.next(t, agents.EventDown).Down.Reason != agents.ReasonExited { // after the goodbyes
	}
	_, err = tables[0].(operator.Backuper).Restore(t.Context(), strings.NewReader(`{"agent_registry_format":9}`))
	assert.ErrorContains(t, err, "format 9")
}

func TestEnsureMendsWhatIsMissing(t *testing.T) {
	x := start(t, "", nil, nil)
	c := startChild(t, x.socket, "worker", nil)
	in, _ := x.byPID.Load(c.pid())
	in.unwatch() // as if it had been lost
	x.byPID.Delete(c.pid())
	var m mended
	require.Equal(t, http.StatusOK, x.operate(t, "POST", "/v1/agents/ensure", "", &m))
	assert.Equal(t, mended{Indexed: 1, Entries: 1}, m)
	events := x.see(t)
	require.NoError(t, c.cmd.Process.Kill())
	events.next(t, agents.EventDown)

	c = startChild(t, x.socket, "worker", nil)
	in, _ = x.byPID.Load(c.pid())
	in.unwatch()
	require.NoError(t, c.cmd.Process.Kill())
	_ = c.cmd.Wait()
	n, err := x.OperatorTables()[0].(operator.Cleaner).Cleanup(t.Context())
	require.NoError(t, err)
	assert.Equal(t, int64(1), n)
	assert.Equal(t, "found gone by ensure", events.next(t, agents.EventDown).Down.Detail)
	x.bytes.Store(12345)
	n, err = x.OperatorTables()[0].(operator.Rebuilder).Rebuild(t.Context())
	require.NoError(t, err)
	assert.Zero(t, n)
	assert.Zero(t, x.bytes.Load())
}

func TestSelfCheckLeavesNoTrace(t *testing.T) {
	x := start(t, t.TempDir(), nil, nil)
	events := x.see(t)
	result := x.OperatorChecks()[0].Run(t.Context())
	assert.True(t, result.OK, result)
	assert.Len(t, result.Steps, 9)
	assert.Zero(t, x.byID.Len())
	assert.Empty(t, events.events)
	assert.Empty(t, x.hub.downs(x.now()))
	assert.Equal(t, http.StatusNotFound, x.do(t, "GET", "/v1/agents/"+syntheticID, "", nil))
}
