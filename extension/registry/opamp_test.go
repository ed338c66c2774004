package registry

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/open-telemetry/opamp-go/protobufs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

const uidA, uidB = "01890000-0000-7000-8000-00000000000a", "01890000-0000-7000-8000-00000000000b"

// startOpAMP runs the registry with an OpAMP endpoint and returns its host:port.
func startOpAMP(t *testing.T, dir string, change func(*OpAMPConfig)) (*running, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	x := start(t, dir, nil, func(c *Config) {
		o := c.OpAMP.GetOrInsertDefault()
		o.Server.NetAddr.Endpoint = addr
		if change != nil {
			change(o)
		}
	})
	return x, addr
}

func opampChild(t *testing.T, spec opampSpec) *child {
	t.Helper()
	c := launchChild(t, childSpec{OpAMP: &spec})
	return c
}

func (c *child) say(t *testing.T, format string, args ...any) {
	t.Helper()
	_, err := fmt.Fprintf(c.in, format+"\n", args...)
	require.NoError(t, err)
}

func TestOpAMPClient(t *testing.T) {
	// opamp-go's client says goodbye on a WebSocket only.
	for scheme, end := range map[string]string{"ws": agents.ReasonGoodbye, "http": agents.ReasonLeaseLost} {
		t.Run(scheme, func(t *testing.T) {
			x, addr := startOpAMP(t, "", func(o *OpAMPConfig) { o.Lease = 2 * time.Second })
			events := x.see(t)
			c := opampChild(t, opampSpec{URL: scheme + "://" + addr + "/v1/opamp", UID: uidA, Name: "shop", Heartbeat: time.Second / 2})
			a := events.next(t, agents.EventRegistered).Agent
			for a.Metadata["effective_config_sha256"] == nil {
				a = events.next(t, agents.EventUpdated).Agent
			}
			assert.Equal(t, uidA, a.ID)
			assert.Equal(t, "shop", a.Labels["service.name"])
			assert.Equal(t, map[string]any{"os.type": "linux", "process.pid": 1.0}, a.Metadata["non_identifying"])
			assert.Equal(t, agents.HealthHealthy, a.Health)
			assert.Equal(t, "opamp", a.Via)
			assert.Zero(t, a.PID, "a pid that is only said proves nothing")
			assert.NotZero(t, a.Lease)

			c.say(t, "health false disk full")
			a = events.next(t, agents.EventUpdated).Agent
			assert.Equal(t, agents.HealthUnhealthy, a.Health)
			assert.Equal(t, "disk full", a.HealthDetail)

			before := a.Metadata["effective_config_sha256"]
			c.say(t, "config password: secret")
			a = events.next(t, agents.EventUpdated).Agent
			assert.NotEqual(t, before, a.Metadata["effective_config_sha256"])
			assert.NotContains(t, string(mustJSON(a)), "secret", "a configuration is kept as a hash")

			var got agents.Agent
			require.Equal(t, http.StatusOK, x.do(t, "GET", "/v1/agents/"+uidA, "", &got))
			assert.Equal(t, agents.HealthUnhealthy, got.Health)
			c.say(t, "stop")
			down := events.next(t, agents.EventDown).Down
			assert.Equal(t, end, down.Reason)
			assert.Equal(t, http.StatusNotFound, x.do(t, "GET", "/v1/agents/"+uidA, "", nil))
		})
	}
}

func TestOpAMPConnectionClosed(t *testing.T) {
	x, addr := startOpAMP(t, "", nil)
	events := x.see(t)
	c := opampChild(t, opampSpec{URL: "ws://" + addr + "/v1/opamp", UID: uidA})
	events.next(t, agents.EventRegistered)
	require.NoError(t, c.cmd.Process.Kill())
	assert.Equal(t, agents.ReasonConnectionLost, events.next(t, agents.EventDown).Down.Reason)
}

func TestOpAMPSilence(t *testing.T) {
	x, addr := startOpAMP(t, "", func(o *OpAMPConfig) { o.Lease = minLease })
	events := x.see(t)
	opampChild(t, opampSpec{URL: "http://" + addr + "/v1/opamp", UID: uidA, Heartbeat: time.Hour})
	opampChild(t, opampSpec{URL: "ws://" + addr + "/v1/opamp", UID: uidB, Heartbeat: time.Hour})
	for range 2 {
		assert.Equal(t, agents.ReasonLeaseLost, events.next(t, agents.EventDown).Down.Reason)
	}
}

func TestOpAMPKnownUIDEvictsNobody(t *testing.T) {
	x, addr := startOpAMP(t, "", nil)
	events := x.see(t)
	opampChild(t, opampSpec{URL: "ws://" + addr + "/v1/opamp", UID: uidA, Name: "first"})
	first := events.next(t, agents.EventRegistered).Agent
	second := opampChild(t, opampSpec{URL: "ws://" + addr + "/v1/opamp", UID: uidA, Name: "second"})
	var renamed string
	require.NoError(t, second.out.Decode(&renamed))
	a := events.next(t, agents.EventRegistered).Agent
	assert.Equal(t, "renamed "+a.ID, renamed)
	assert.Equal(t, "second", a.Labels["service.name"])
	var got agents.Agent
	require.Equal(t, http.StatusOK, x.do(t, "GET", "/v1/agents/"+uidA, "", &got))
	assert.Equal(t, first.Instance, got.Instance)
	assert.Equal(t, "first", got.Labels["service.name"])
	require.NoError(t, second.cmd.Process.Kill())
	assert.Equal(t, a.ID, events.next(t, agents.EventDown).Down.AgentID)
	assert.Equal(t, http.StatusOK, x.do(t, "GET", "/v1/agents/"+uidA, "", nil))
}

func TestOpAMPClientOutlivesUs(t *testing.T) {
	dir := t.TempDir()
	x, addr := startOpAMP(t, dir, nil)
	events := x.see(t)
	opampChild(t, opampSpec{URL: "ws://" + addr + "/v1/opamp", UID: uidA})
	instance := events.next(t, agents.EventRegistered).Agent.Instance
	x.stop()
	x = start(t, dir, nil, func(c *Config) { c.OpAMP.GetOrInsertDefault().Server.NetAddr.Endpoint = addr })
	require.Eventually(t, func() bool {
		a, err := x.Get(uidA)
		return err == nil && a.Watch == agents.WatchConnection && a.Instance == instance
	}, 10*time.Second, 10*time.Millisecond, "it comes back to its entry")
	assert.Empty(t, x.hub.downs(x.now()))
}

func TestOpAMPMessagesAreBounded(t *testing.T) {
	x, addr := startOpAMP(t, "", func(o *OpAMPConfig) { o.MaxMessageBytes = 4096 })
	large := make([]byte, 1<<20)
	resp, err := http.Post("http://"+addr+"/v1/opamp", "application/x-protobuf", bytes.NewReader(large))
	if err == nil {
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
	}
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+addr+"/v1/opamp", nil)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_ = conn.WriteMessage(websocket.BinaryMessage, large) // it may be cut off while we write
	_, _, err = conn.ReadMessage()
	assert.Error(t, err, "the connection is closed")
	require.Eventually(t, func() bool {
		x.opamp.mu.Lock()
		defer x.opamp.mu.Unlock()
		return len(x.opamp.sessions) == 0
	}, 10*time.Second, time.Millisecond)

	small, _, err := websocket.DefaultDialer.Dial("ws://"+addr+"/v1/opamp", nil)
	require.NoError(t, err)
	defer func() { _ = small.Close() }()
	for range 100 { // each is small: together they are more than one may be
		m, err := proto.Marshal(describedMessage(strings.Repeat("x", 1000)))
		require.NoError(t, err)
		require.NoError(t, small.WriteMessage(websocket.BinaryMessage, append([]byte{0}, m...)))
		_, _, err = small.ReadMessage()
		require.NoError(t, err)
	}
}

func TestOpAMPConnectionsAreBounded(t *testing.T) {
	_, addr := startOpAMP(t, "", func(o *OpAMPConfig) { o.MaxConnections = 1 })
	first, _, err := websocket.DefaultDialer.Dial("ws://"+addr+"/v1/opamp", nil)
	require.NoError(t, err)
	defer func() { _ = first.Close() }()
	require.Eventually(t, func() bool {
		second, resp, err := websocket.DefaultDialer.Dial("ws://"+addr+"/v1/opamp", nil)
		if err == nil {
			_ = second.Close()
			return false
		}
		return resp != nil && resp.StatusCode == http.StatusServiceUnavailable
	}, 10*time.Second, time.Millisecond)
}

func describedMessage(name string) *protobufs.AgentToServer {
	id := uuid.MustParse(uidA)
	return &protobufs.AgentToServer{InstanceUid: id[:], AgentDescription: &protobufs.AgentDescription{
		IdentifyingAttributes: []*protobufs.KeyValue{{Key: "service.name",
			Value: &protobufs.AnyValue{Value: &protobufs.AnyValue_StringValue{StringValue: name}}}},
	}}
}

// What a client says is taken within bounds, or refused with an error; nothing else happens.
func FuzzOpAMPMessage(f *testing.F) {
	seed, err := proto.Marshal(describedMessage("shop"))
	require.NoError(f, err)
	f.Add(seed)
	bye, err := proto.Marshal(&protobufs.AgentToServer{InstanceUid: seed[2:18], AgentDisconnect: &protobufs.AgentDisconnect{}})
	require.NoError(f, err)
	f.Add(bye)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m protobufs.AgentToServer
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		cfg := createDefaultConfig().(*Config)
		r, err := newRegistry(cfg, zap.NewNop())
		require.NoError(t, err)
		o := newOpAMP(r, cfg.OpAMP.GetOrInsertDefault())
		for range 2 {
			answer := o.message(httpPeer("127.0.0.1"), &m, agents.WatchLease)
			require.Equal(t, m.InstanceUid, answer.InstanceUid)
		}
		for _, a := range r.all() {
			mustJSON(a)
			require.NoError(t, r.checkAgent(a))
		}
		bytes := r.bytes.Load()
		r.recount()
		require.Equal(t, r.bytes.Load(), bytes)
	})
}
