// This file starts the extension as the collector does, with a real storage, on a real unix socket.

package registry

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/foundation-agent/foundation-agent/extension/registry/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/unixsocket"
)

// running is an extension with its handlers on a unix socket and on loopback TCP.
type running struct {
	*agentRegistry
	socket string
	tcp    string
	client *http.Client // over the unix socket: the test is one more process
	stop   func()
}

type extensions map[component.ID]component.Component

func (h extensions) GetExtensions() map[component.ID]component.Component { return h }

var (
	storageID = component.MustNewID("file_storage")
	flagsID   = component.MustNewID("feature_flags")
)

// start runs the extension in dir, which keeps its state between runs. change adapts the configuration.
func start(t *testing.T, dir string, flags flag.Provider, change func(*Config)) *running {
	t.Helper()
	h := extensions{}
	cfg := createDefaultConfig().(*Config)
	if dir != "" {
		h[storageID] = startStorage(t, dir)
		cfg.Storage = &storageID
	}
	if flags != nil {
		h[flagsID] = flags.(component.Component)
		cfg.Flags = &flagsID
	}
	if change != nil {
		change(cfg)
	}
	require.NoError(t, cfg.Validate())
	ext := newForTest(t, cfg)
	require.NoError(t, ext.Start(context.Background(), h))
	x := &running{agentRegistry: ext}
	closeDoors := x.openDoors(t)
	x.stop = sync.OnceFunc(func() {
		closeDoors()
		require.NoError(t, ext.Shutdown(context.Background()))
		if s, ok := h[storageID]; ok {
			require.NoError(t, s.Shutdown(context.Background()))
		}
	})
	t.Cleanup(x.stop)
	return x
}

func newForTest(t testing.TB, cfg *Config) *agentRegistry {
	t.Helper()
	set := extensiontest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type) // storage is kept by it
	ext, err := NewFactory().Create(context.Background(), set, cfg)
	require.NoError(t, err)
	return ext.(*agentRegistry)
}

func startStorage(t *testing.T, dir string) extension.Extension {
	t.Helper()
	f := filestorage.NewFactory()
	cfg := f.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = dir
	ext, err := f.Create(context.Background(), extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(context.Background(), componenttest.NewNopHost()))
	return ext
}

// openDoors serves the handlers as the foundation receiver does.
func (x *running) openDoors(t *testing.T) (closeAll func()) {
	t.Helper()
	mux := http.NewServeMux()
	x.MountApplication(mux)
	draining := make(chan struct{})
	server := &http.Server{
		Handler: mux, ConnContext: unixsocket.ConnContext, ReadHeaderTimeout: time.Second,
		BaseContext: func(net.Listener) context.Context { return door.WithDraining(context.Background(), draining) },
	}
	x.socket = filepath.Join(t.TempDir(), "app.sock")
	unix, err := unixsocket.Listen(unixsocket.Config{Path: x.socket, DirMode: 0o700, Mode: 0o600})
	require.NoError(t, err)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	x.tcp = "http://" + tcp.Addr().String()
	var served sync.WaitGroup
	for _, l := range []net.Listener{unix, tcp} {
		served.Go(func() { _ = server.Serve(l) })
	}
	x.client = unixClient(x.socket)
	return func() {
		close(draining)
		x.client.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		require.NoError(t, server.Shutdown(context.Background()))
		served.Wait()
	}
}

// do calls over the unix socket and decodes the answer into v, where v is not nil.
func (x *running) do(t *testing.T, method, path, body string, v any) int {
	t.Helper()
	a := call(x.client, method, path, []byte(body))
	if v != nil {
		require.NoError(t, json.Unmarshal(a.Body, v), string(a.Body))
	}
	return a.Status
}

// doTCP calls over TCP with a token.
func (x *running) doTCP(t *testing.T, method, path, body, token string, v any) int {
	t.Helper()
	client := &http.Client{Transport: withToken{token: token, to: x.tcp}}
	a := call(client, method, path, []byte(body))
	if v != nil {
		require.NoError(t, json.Unmarshal(a.Body, v), string(a.Body))
	}
	return a.Status
}

// withToken sends requests to another host, with a token.
type withToken struct {
	token, to string
	next      http.RoundTripper // nil: the default one
}

func (tr withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	to, err := http.NewRequest(r.Method, tr.to+r.URL.RequestURI(), r.Body)
	if err != nil {
		return nil, err
	}
	to.Header = r.Header.Clone()
	to.Header.Set(door.TokenHeader, tr.token)
	if tr.next == nil {
		return http.DefaultTransport.RoundTrip(to)
	}
	return tr.next.RoundTrip(to)
}

// seen collects events until the test ends.
type seen struct {
	events chan agents.Event
}

func (x *running) see(t *testing.T) *seen {
	t.Helper()
	s := &seen{events: make(chan agents.Event, 10_000)}
	t.Cleanup(x.Watch(func(e agents.Event) { s.events <- e }))
	s.next(t, agents.EventSynced)
	return s
}

// next waits for an event of the given type.
func (s *seen) next(t *testing.T, typ string) agents.Event {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case e := <-s.events:
			if e.Type == typ {
				return e
			}
		case <-timeout:
			require.FailNow(t, "no event came", typ)
		}
	}
}

// receive waits for a value.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(10 * time.Second):
		require.FailNow(t, "nothing came")
		panic("not reached")
	}
}

func tokenIn(t testing.TB, body []byte) string {
	t.Helper()
	var done registered
	require.NoError(t, json.Unmarshal(body, &done))
	require.NotEmpty(t, done.Token)
	return done.Token
}
