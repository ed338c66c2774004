// This file takes OpAMP clients into the registry (https://github.com/open-telemetry/opamp-spec): by
// opamp-go's server, over WebSocket and plain HTTP. It observes; it offers no configuration and no packages.

package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/open-telemetry/opamp-go/protobufs"
	opampserver "github.com/open-telemetry/opamp-go/server"
	"github.com/open-telemetry/opamp-go/server/types"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

const (
	opampPath = "/v1/opamp"
	// firstMessageWait is how long a WebSocket may stay open without a word.
	firstMessageWait = 30 * time.Second
)

// opamp serves OpAMP clients.
type opamp struct {
	*registry
	cfg    *OpAMPConfig
	logger *zap.Logger

	mu       sync.Mutex
	sessions map[types.Connection]*session // WebSockets
	closing  bool
	closed   sync.WaitGroup // of all sessions
}

func newOpAMP(r *registry, cfg *OpAMPConfig) *opamp {
	return &opamp{registry: r, cfg: cfg, logger: r.logger, sessions: map[types.Connection]*session{}}
}

// handler is what an http.Server serves OpAMP with; connContext must be in the server's ConnContext.
func (o *opamp) handler() (handler http.Handler, connContext func(context.Context, net.Conn) context.Context, err error) {
	serve, connContext, err := opampserver.New(opampLogger{o.logger}).Attach(opampserver.Settings{
		// Without compression of WebSocket messages a message is never larger than what was read.
		Callbacks: types.Callbacks{OnConnecting: o.connecting},
	})
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc(opampPath, serve)
	return mux, connContext, nil
}

func (o *opamp) connecting(r *http.Request) types.ConnectionResponse {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing || len(o.sessions) >= o.cfg.MaxConnections {
		return types.ConnectionResponse{
			HTTPStatusCode:     http.StatusServiceUnavailable,
			HTTPResponseHeader: map[string]string{"Retry-After": "30"},
		}
	}
	peer := httpPeer(hostOf(r.RemoteAddr))
	if r.Header.Get("Upgrade") == "" {
		return types.ConnectionResponse{Accept: true, ConnectionCallbacks: types.ConnectionCallbacks{
			OnMessage: func(_ context.Context, conn types.Connection, m *protobufs.AgentToServer) *protobufs.ServerToAgent {
				refill(conn)
				return o.message(peer, m, agents.WatchLease)
			},
		}}
	}
	return types.ConnectionResponse{Accept: true, ConnectionCallbacks: types.ConnectionCallbacks{
		OnConnected:       o.connected,
		OnMessage:         o.socketMessage,
		OnConnectionClose: o.disconnected,
	}}
}

// session is one WebSocket. An agent lives on it: it is down when the socket closes.
type session struct {
	conn types.Connection
	id   string // of the agent, "" before it has said; used by the connection's goroutine alone
}

// hangUp closes the socket of an agent that was not heard of.
func (s *session) hangUp() { _ = s.conn.Disconnect() } // disconnected is told of it

// httpPeer is the host that plain HTTP messages come from.
type httpPeer string

func (httpPeer) hangUp() {}

func (o *opamp) connected(_ context.Context, conn types.Connection) {
	_ = conn.Connection().SetReadDeadline(time.Now().Add(firstMessageWait)) // fails on a closed socket only
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sessions[conn] = &session{conn: conn}
	o.closed.Add(1)
	if o.closing {
		_ = conn.Disconnect()
	}
}

func (o *opamp) socketMessage(_ context.Context, conn types.Connection, m *protobufs.AgentToServer) *protobufs.ServerToAgent {
	refill(conn)
	_ = conn.Connection().SetReadDeadline(time.Time{}) // from now on the lease tells, or TCP's keep-alive
	o.mu.Lock()
	s := o.sessions[conn]
	o.mu.Unlock()
	answer := o.message(s, m, agents.WatchConnection)
	if id, err := uuid.FromBytes(m.InstanceUid); err == nil && o.holds(s, id.String()) {
		s.id = id.String()
	}
	return answer
}

// disconnected takes down the agent that lived on the connection.
func (o *opamp) disconnected(conn types.Connection) {
	o.mu.Lock()
	s, closing := o.sessions[conn], o.closing
	delete(o.sessions, conn)
	o.mu.Unlock()
	defer o.closed.Done()
	if s.id != "" && !closing { // when we close, the agent has not ended: it will come back to our next life
		o.lose(s, s.id, agents.Down{Reason: agents.ReasonConnectionLost})
	}
}

// close hangs up on all, and waits until their goroutines have ended.
func (o *opamp) close() {
	o.mu.Lock()
	o.closing = true
	for conn := range o.sessions {
		_ = conn.Disconnect() // disconnected is told of it
	}
	o.mu.Unlock()
	o.closed.Wait()
}

// message takes what an agent says of itself.
func (o *opamp) message(from connection, m *protobufs.AgentToServer, watch string) *protobufs.ServerToAgent {
	id, err := uuid.FromBytes(m.InstanceUid)
	if err != nil || id == uuid.Nil {
		return refused(m, fmt.Errorf("instance_uid is %d bytes: a UUID of 16 is expected", len(m.InstanceUid)))
	}
	if m.AgentDisconnect != nil {
		o.lose(from, id.String(), agents.Down{Reason: agents.ReasonGoodbye, Normal: true})
		return &protobufs.ServerToAgent{InstanceUid: m.InstanceUid}
	}
	answer := &protobufs.ServerToAgent{
		InstanceUid: m.InstanceUid,
		Capabilities: uint64(protobufs.ServerCapabilities_ServerCapabilities_AcceptsStatus |
			protobufs.ServerCapabilities_ServerCapabilities_AcceptsEffectiveConfig),
	}
	switch known, err := o.told(from, id.String(), m, watch); {
	case errors.Is(err, errHeldByAnother):
		// Another client lives under this uid. It stays; this one is given a uid of its own.
		fresh := uuid.Must(uuid.NewV7()) // fails only without a source of randomness
		answer.AgentIdentification = &protobufs.AgentIdentification{NewInstanceUid: fresh[:]}
		answer.Flags = uint64(protobufs.ServerToAgentFlags_ServerToAgentFlags_ReportFullState)
	case err != nil:
		return refused(m, err)
	case !known:
		answer.Flags = uint64(protobufs.ServerToAgentFlags_ServerToAgentFlags_ReportFullState)
	}
	return answer
}

func refused(m *protobufs.AgentToServer, err error) *protobufs.ServerToAgent {
	return &protobufs.ServerToAgent{
		InstanceUid: m.InstanceUid,
		ErrorResponse: &protobufs.ServerErrorResponse{
			Type:         protobufs.ServerErrorResponseType_ServerErrorResponseType_BadRequest,
			ErrorMessage: err.Error(),
		},
	}
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr // a unix socket's
	}
	return host
}

// opampLogger passes opamp-go's lines on. What peers do wrong is no error of ours.
type opampLogger struct{ *zap.Logger }

func (l opampLogger) Debugf(_ context.Context, format string, v ...any) {
	l.Debug("opamp: " + fmt.Sprintf(format, v...))
}

func (l opampLogger) Errorf(_ context.Context, format string, v ...any) {
	l.Debug("opamp: " + fmt.Sprintf(format, v...))
}
