package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/unixsocket"
)

func TestClaimedPidIsRefused(t *testing.T) {
	x := start(t, "", nil, nil)
	c := startChild(t, x.socket, "liar", map[string]any{"pid": os.Getpid()})
	assert.Equal(t, http.StatusForbidden, c.registered.Status)
	assert.Equal(t, "pid_not_proven", c.registered.code(t))
	assert.Zero(t, x.byID.Len())

	own := c.call(t, "PUT", "/v1/agents/honest", fmt.Sprintf(`{"pid":%d}`, c.pid()))
	assert.Equal(t, http.StatusCreated, own.Status, string(own.Body))

	var e struct{ Error door.Error }
	assert.Equal(t, http.StatusForbidden, x.doTCP(t, "PUT", "/v1/agents/far", fmt.Sprintf(`{"pid":%d}`, c.pid()), "", &e))
	assert.Equal(t, "pid_not_proven", e.Error.Code)
	assert.Equal(t, http.StatusBadRequest, x.do(t, "PUT", "/v1/agents/negative", `{"pid":-1}`, nil))
}

func TestOnlyTheOwnerChangesAnAgent(t *testing.T) {
	x := start(t, "", nil, nil)
	c := startChild(t, x.socket, "theirs", nil)
	require.Equal(t, http.StatusCreated, c.registered.Status)
	for _, call := range []struct{ method, path, body string }{
		{"PATCH", "/v1/agents/theirs", `{"labels":{"a":"b"}}`},
		{"POST", "/v1/agents/theirs/heartbeat", ``},
		{"POST", "/v1/agents/theirs/down", `{"process":"p"}`},
		{"DELETE", "/v1/agents/theirs", ``},
	} {
		var e struct{ Error door.Error }
		assert.Equal(t, http.StatusForbidden, x.do(t, call.method, call.path, call.body, &e), call)
		assert.Equal(t, "not_proven", e.Error.Code)
		assert.Equal(t, http.StatusForbidden, x.doTCP(t, call.method, call.path, call.body, "no token", nil), call)
		own := c.call(t, call.method, call.path, call.body)
		assert.Less(t, own.Status, 300, string(own.Body))
	}
	assert.Equal(t, http.StatusForbidden, c.call(t, "PUT", "/v1/agents/mine", `{"pid":1}`).Status)
}

func TestTokenProvesOverTCP(t *testing.T) {
	dir := t.TempDir()
	x := start(t, dir, nil, nil)
	var done registered
	require.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/far", `{}`, "", &done))
	require.NotEmpty(t, done.Token)
	assert.Equal(t, agents.WatchLease, done.Agent.Watch)
	assert.Equal(t, agents.Duration(x.cfg.Lease.Default), done.Agent.Lease)
	assert.Zero(t, done.Agent.PID)

	assert.Equal(t, http.StatusForbidden, x.doTCP(t, "POST", "/v1/agents/far/heartbeat", ``, "", nil))
	assert.Equal(t, http.StatusOK, x.doTCP(t, "POST", "/v1/agents/far/heartbeat", ``, done.Token, nil))
	assert.Equal(t, http.StatusConflict, x.doTCP(t, "PUT", "/v1/agents/far", `{}`, "", nil), "an unproven caller takes nothing over")
	assert.True(t, x.Proves(door.Caller{Token: done.Token}, "far"))
	assert.False(t, x.Proves(door.Caller{}, "far"))

	x.stop()
	x = start(t, dir, nil, nil)
	var again registered
	assert.Equal(t, http.StatusOK, x.doTCP(t, "PUT", "/v1/agents/far", `{}`, done.Token, &again), "the token survives a restart")
	assert.Empty(t, again.Token, "it is given once")
}

func TestAnotherProcessTakesOver(t *testing.T) {
	x := start(t, "", nil, nil)
	first := startChild(t, x.socket, "shared", nil)
	var before agents.Agent
	require.Equal(t, http.StatusOK, x.do(t, "GET", "/v1/agents/shared", "", &before))
	events := x.see(t)
	second := startChild(t, x.socket, "shared", nil)
	require.Equal(t, http.StatusCreated, second.registered.Status, string(second.registered.Body))
	down := events.next(t, agents.EventDown).Down
	assert.Equal(t, agents.ReasonReplaced, down.Reason)
	assert.Equal(t, before.Instance, down.Instance)
	assert.Equal(t, first.pid(), down.PID)
	assert.Equal(t, second.pid(), events.next(t, agents.EventRegistered).Agent.PID)
	assert.Equal(t, http.StatusForbidden, first.call(t, "POST", "/v1/agents/shared/heartbeat", "").Status)

	require.NoError(t, first.cmd.Process.Kill()) // no death of the agent any more
	_ = first.cmd.Wait()
	require.NoError(t, second.cmd.Process.Kill())
	assert.Equal(t, second.pid(), events.next(t, agents.EventDown).Down.PID)
}

func TestAnotherProcessIsRefused(t *testing.T) {
	x := start(t, "", nil, func(c *Config) { c.OnConflict = conflictRefuse })
	first := startChild(t, x.socket, "held", nil)
	events := x.see(t)
	second := startChild(t, x.socket, "held", nil)
	assert.Equal(t, http.StatusConflict, second.registered.Status)
	assert.Equal(t, "id_taken", second.registered.code(t))
	refused := events.next(t, agents.EventClaimRefused)
	assert.Equal(t, first.pid(), refused.Agent.PID)
	assert.Contains(t, refused.Detail, fmt.Sprint(second.pid()))

	require.NoError(t, first.cmd.Process.Kill())
	events.next(t, agents.EventDown)
	assert.Equal(t, http.StatusCreated, second.call(t, "PUT", "/v1/agents/held", "").Status, "free again")
}

func TestSameProcessUpdates(t *testing.T) {
	x := start(t, "", nil, nil)
	c := startChild(t, x.socket, "one", map[string]any{"labels": map[string]string{"v": "1"}})
	var before, after registered
	require.NoError(t, json.Unmarshal(c.registered.Body, &before))
	a := c.call(t, "PUT", "/v1/agents/one", `{"labels":{"v":"2"}}`)
	require.Equal(t, http.StatusOK, a.Status)
	require.NoError(t, json.Unmarshal(a.Body, &after))
	assert.Equal(t, before.Agent.Instance, after.Agent.Instance)
	assert.Equal(t, "2", after.Agent.Labels["v"])
	assert.False(t, after.Created)

	events := x.see(t)
	a = c.call(t, "PUT", "/v1/agents/one", `{"instance":"next"}`)
	require.Equal(t, http.StatusCreated, a.Status, "another instance is another life")
	assert.Equal(t, before.Agent.Instance, events.next(t, agents.EventDown).Down.Instance)
	assert.Equal(t, "next", events.next(t, agents.EventRegistered).Agent.Instance)
}

func TestReusedPidProvesNothing(t *testing.T) {
	x := start(t, "", nil, nil)
	c := startChild(t, x.socket, "worker", nil)
	require.Equal(t, http.StatusCreated, c.registered.Status)
	e, _ := x.byID.Load("worker")
	peer := unixsocket.Peer{PID: c.pid(), UID: uint32(os.Getuid()), Start: e.process.Start}
	assert.True(t, x.Proves(door.Caller{Local: true, Peer: peer}, "worker"))
	id, ok := x.AgentOf(door.Caller{Local: true, Peer: peer})
	assert.True(t, ok)
	assert.Equal(t, "worker", id)
	peer.Start++ // another life of the pid
	assert.False(t, x.Proves(door.Caller{Local: true, Peer: peer}, "worker"))
	_, ok = x.AgentOf(door.Caller{Local: true, Peer: peer})
	assert.False(t, ok)
	_, err := x.register(caller{via: viaUnix, Caller: door.Caller{Local: true, Peer: peer}}, "other", registration{})
	assert.ErrorContains(t, err, "pid_reused")
}

func TestAgentOfIsAmbiguousForSeveral(t *testing.T) {
	x := start(t, "", nil, nil)
	c := startChild(t, x.socket, "one", nil)
	e, _ := x.byID.Load("one")
	caller := door.Caller{Local: true, Peer: unixsocket.Peer{PID: c.pid(), Start: e.process.Start}}
	require.Equal(t, http.StatusCreated, c.call(t, "PUT", "/v1/agents/two", "").Status)
	_, ok := x.AgentOf(caller)
	assert.False(t, ok)
	assert.True(t, x.Proves(caller, "one"))
	assert.True(t, x.Proves(caller, "two"))
	require.Equal(t, http.StatusNoContent, c.call(t, "DELETE", "/v1/agents/one", "").Status)
	id, ok := x.AgentOf(caller)
	assert.True(t, ok)
	assert.Equal(t, "two", id)
}

func TestEndpointMustBeTheCallersOwn(t *testing.T) {
	x := start(t, "", nil, func(c *Config) { c.Endpoint.AllowedPorts = []string{"9000-9999"} })
	c := startChild(t, x.socket, "scraped", map[string]any{"endpoint": "localhost:9464"})
	require.Equal(t, http.StatusCreated, c.registered.Status, string(c.registered.Body))
	var a agents.Agent
	x.do(t, "GET", "/v1/agents/scraped", "", &a)
	assert.Equal(t, "127.0.0.1:9464", a.Endpoint)
	for _, endpoint := range []string{
		"169.254.169.254:9464", "metadata.google.internal:9464", "127.0.0.1:80", "127.0.0.1:0", "127.0.0.1",
		"10.0.0.1:9464", "127.0.0.1:99999", "http://127.0.0.1:9464/", "[::ffff:169.254.169.254]:9464",
	} {
		body := string(mustJSON(map[string]string{"endpoint": endpoint}))
		for _, got := range []childAnswer{c.call(t, "PUT", "/v1/agents/scraped", body), c.call(t, "PATCH", "/v1/agents/scraped", body)} {
			assert.Equal(t, http.StatusUnprocessableEntity, got.Status, endpoint)
			assert.Equal(t, "endpoint_not_allowed", got.code(t), endpoint)
		}
		assert.Equal(t, http.StatusUnprocessableEntity, x.doTCP(t, "PUT", "/v1/agents/far", body, "", nil), endpoint)
	}
	assert.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/far", `{"endpoint":":9464"}`, "", nil))
	x.do(t, "GET", "/v1/agents/far", "", &a)
	assert.Equal(t, "127.0.0.1:9464", a.Endpoint)
}
