package foundation

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

// onTCP is the default configuration with only a port of its own.
func onTCP() *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.HTTP.GetOrInsertDefault().NetAddr.Endpoint = "localhost:0"
	return cfg
}

func TestDoorOnTCP(t *testing.T) {
	var p pipeline
	c := start(t, onTCP(), &p, nil)
	assert.Equal(t, http.StatusAccepted, c.emit(`{"name":"e"}`).status)

	rebound := c.request(http.MethodPost, "/v1/events", "application/json", `{"name":"e"}`)
	rebound.Host = "evil.example"
	got := c.do(rebound)
	assert.Equal(t, http.StatusForbidden, got.status)
	assert.Equal(t, "unknown_host", got.Error.Code)

	page := c.request(http.MethodPost, "/v1/events", "application/json", `{"name":"e"}`)
	page.Header.Set("Origin", "https://evil.example")
	assert.Equal(t, "cross_origin", c.do(page).Error.Code)
	assert.Len(t, p.records(), 1)
}

func TestSocketHasItsMode(t *testing.T) {
	cfg := onUnix(t)
	start(t, cfg, consumertest.NewNop(), nil)
	info, err := os.Stat(cfg.Unix.Get().Server.NetAddr.Endpoint)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o660), info.Mode().Perm())
}

func TestSecondReceiverOnASocketFailsAndTheFirstGoesOn(t *testing.T) {
	var p pipeline
	cfg := onUnix(t)
	c := start(t, cfg, &p, nil)
	other := *cfg
	r, err := createLogs(t.Context(), nopSettings, &other, &p)
	require.NoError(t, err)
	require.ErrorContains(t, r.Start(t.Context(), componenttest.NewNopHost()), "another process listens here")
	require.NoError(t, r.Shutdown(t.Context()))
	assert.Equal(t, http.StatusAccepted, c.emit(`{"name":"e"}`).status)
}

// A caller that sends its body byte by byte is cut off, and nothing of it is taken.
func TestSlowBody(t *testing.T) {
	var p pipeline
	cfg := onUnix(t)
	cfg.BodyTimeout = 50 * time.Millisecond
	start(t, cfg, &p, nil)
	conn, err := net.Dial("unix", cfg.Unix.Get().Server.NetAddr.Endpoint)
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprint(conn, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100\r\n\r\n{\"name\":\"e\"}\n")
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	assert.Equal(t, http.StatusRequestTimeout, res.StatusCode)
	assert.Empty(t, p.records())
}

// A pipeline that takes longer than a body may take to arrive does not break the request.
func TestBodyTimeoutIsOfTheBodyAlone(t *testing.T) {
	p := pipeline{answer: func(ctx context.Context, _ plog.Logs) error {
		select {
		case <-time.After(150 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	cfg := onUnix(t)
	cfg.BodyTimeout = 20 * time.Millisecond
	c := start(t, cfg, &p, nil)
	assert.Equal(t, http.StatusAccepted, c.emit(`{"name":"e"}`).status)
}

func TestShutdownLetsRequestsInFlightEnd(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	p := pipeline{answer: func(context.Context, plog.Logs) error {
		close(entered)
		<-release
		return nil
	}}
	cfg := onUnix(t)
	r, err := createLogs(t.Context(), nopSettings, cfg, &p)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	c := clientOf(t, r.(*sharedReceiver), nil)
	answered := make(chan reply)
	go func() { answered <- c.emit(`{"name":"e"}`) }()
	<-entered
	stopped := make(chan error)
	go func() { stopped <- r.Shutdown(context.Background()) }()
	require.Eventually(t, func() bool { // the door is closed to others
		_, err := net.Dial("unix", cfg.Unix.Get().Server.NetAddr.Endpoint)
		return err != nil
	}, 5*time.Second, time.Millisecond)
	close(release)
	assert.Equal(t, http.StatusAccepted, (<-answered).status)
	require.NoError(t, <-stopped)
	assert.Len(t, p.records(), 1)
}

// mounted is an extension with a route, and a stream that ends when the door does.
type mounted struct {
	component.Component
	path string
}

func (m mounted) MountApplication(mux *http.ServeMux) {
	mux.HandleFunc("GET "+m.path, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, m.path)
	})
	mux.HandleFunc("GET "+m.path+"/watch", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-door.Draining(r.Context()):
			_, _ = io.WriteString(w, "bye")
		case <-r.Context().Done():
		}
	})
}

func TestMountedHandlers(t *testing.T) {
	registry, flags := component.MustNewID("agent_registry"), component.MustNewID("feature_flags")
	extensions := map[component.ID]component.Component{registry: mounted{path: "/v1/agents"}, flags: mounted{path: "/ofrep/v1"}}
	cfg := onUnix(t)
	cfg.Mount = []component.ID{registry, flags}
	cfg.HTTP.GetOrInsertDefault().NetAddr.Endpoint = "localhost:0"
	r, err := createLogs(t.Context(), nopSettings, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), testHost{componenttest.NewNopHost(), extensions}))
	c := clientOf(t, r.(*sharedReceiver), nil)
	assert.Equal(t, "/v1/agents", c.do(c.request(http.MethodGet, "/v1/agents", "", "")).text)
	assert.Equal(t, "/ofrep/v1", c.do(c.request(http.MethodGet, "/ofrep/v1", "", "")).text)

	overTCP, err := http.Get("http://" + r.(*sharedReceiver).doors[1].listener.Addr().String() + "/v1/agents")
	require.NoError(t, err)
	require.NoError(t, overTCP.Body.Close())
	assert.Equal(t, http.StatusOK, overTCP.StatusCode)
	http.DefaultClient.CloseIdleConnections()

	// A stream neither holds the shutdown up nor is torn.
	stream, err := c.http.Get(c.url + "/v1/agents/watch")
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, r.Shutdown(context.Background()))
	assert.Less(t, time.Since(began), cfg.ShutdownTimeout)
	last, err := io.ReadAll(stream.Body)
	require.NoError(t, err)
	require.NoError(t, stream.Body.Close())
	assert.Equal(t, "bye", string(last))
}

func TestExtensionsThatCannotBeUsedAreNamed(t *testing.T) {
	a, b := component.MustNewID("a"), component.MustNewID("b")
	extensions := map[component.ID]component.Component{a: mounted{path: "/x"}, b: mounted{path: "/x"}}
	for _, tt := range []struct {
		set  func(*Config)
		says []string
	}{
		{func(c *Config) { c.Mount = []component.ID{component.MustNewID("nobody")} }, []string{"mount", `"nobody"`}},
		{func(c *Config) { c.Mount = []component.ID{a, b} }, []string{"mount", `"b"`, "/x"}},
		{func(c *Config) { c.EventsFrom = []component.ID{component.MustNewID("nobody")} }, []string{"events_from", `"nobody"`}},
		{func(c *Config) { c.EventsFrom = []component.ID{a} }, []string{"events_from", `"a"`}},
		{func(c *Config) { c.Registry = &a }, []string{"registry", `"a"`}},
	} {
		cfg := onUnix(t)
		tt.set(cfg)
		r, err := createLogs(t.Context(), nopSettings, cfg, consumertest.NewNop())
		require.NoError(t, err)
		err = r.Start(t.Context(), testHost{componenttest.NewNopHost(), extensions})
		for _, says := range tt.says {
			assert.ErrorContains(t, err, says)
		}
		require.NoError(t, r.Shutdown(t.Context()))
		assert.NoFileExists(t, cfg.Unix.Get().Server.NetAddr.Endpoint)
	}
}

// One door serves the receiver's pipelines: open only while all of them run.
func TestReceiverInTwoPipelinesIsOne(t *testing.T) {
	cfg := onUnix(t)
	path := cfg.Unix.Get().Server.NetAddr.Endpoint
	for range 2 { // and again, as after a reload with the same configuration
		logs, err := createLogs(t.Context(), nopSettings, cfg, consumertest.NewNop())
		require.NoError(t, err)
		traces, err := createTraces(t.Context(), nopSettings, cfg, consumertest.NewNop())
		require.NoError(t, err)
		assert.Same(t, logs, traces)
		require.NoError(t, logs.Start(t.Context(), componenttest.NewNopHost()))
		assert.NoFileExists(t, path)
		require.NoError(t, traces.Start(t.Context(), componenttest.NewNopHost()))
		assert.FileExists(t, path)
		require.NoError(t, logs.Shutdown(t.Context()))
		assert.NoFileExists(t, path)
		require.NoError(t, traces.Shutdown(t.Context()))
	}
	assert.Empty(t, shared)
}

func TestPathOfTheSocketIsRelativeToTheWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	cfg := createDefaultConfig().(*Config)
	cfg.Unix.GetOrInsertDefault()
	start(t, cfg, consumertest.NewNop(), nil)
	assert.FileExists(t, filepath.Join("var", "run", "app.sock"))
}
