package foundation

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/foundation-agent/foundation-agent/receiver/foundation/internal/metadata"
)

// pipeline is a logs pipeline that answers what a test says, and keeps what it took.
type pipeline struct {
	answer func(ctx context.Context, ld plog.Logs) error // nil takes everything

	mu    sync.Mutex
	taken []plog.Logs
}

func (*pipeline) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (p *pipeline) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	if p.answer != nil {
		if err := p.answer(ctx, ld); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = append(p.taken, ld)
	return nil
}

// records are those that were taken, in order.
func (p *pipeline) records() (records []plog.LogRecord) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ld := range p.taken {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, r := range sl.LogRecords().All() {
					records = append(records, r)
				}
			}
		}
	}
	return records
}

func (p *pipeline) names() (names []string) {
	for _, r := range p.records() {
		names = append(names, r.EventName())
	}
	return names
}

// testHost is a host with extensions.
type testHost struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h testHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

// client calls a receiver that runs.
type client struct {
	t    *testing.T
	http *http.Client
	url  string
	tel  *componenttest.Telemetry
}

// onUnix is the default configuration with only a unix socket, in a directory of its own.
func onUnix(t *testing.T) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Unix.GetOrInsertDefault().Server.NetAddr.Endpoint = filepath.Join(t.TempDir(), "s")
	return cfg
}

// start runs a receiver of cfg before next until the test ends.
func start(t *testing.T, cfg *Config, next consumer.Logs, extensions map[component.ID]component.Component) *client {
	t.Helper()
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	set := receiver.Settings{ID: component.NewID(metadata.Type), TelemetrySettings: tel.NewTelemetrySettings(), BuildInfo: component.NewDefaultBuildInfo()}
	r, err := createLogs(t.Context(), set, cfg, next)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), testHost{componenttest.NewNopHost(), extensions}))
	t.Cleanup(func() { require.NoError(t, r.Shutdown(context.Background())) })
	return clientOf(t, r.(*sharedReceiver), tel)
}

// clientOf calls r by its first door.
func clientOf(t *testing.T, r *sharedReceiver, tel *componenttest.Telemetry) *client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	addr := r.doors[0].listener.Addr()
	c := &client{t: t, http: &http.Client{Transport: transport}, url: "http://" + addr.String(), tel: tel}
	if addr.Network() == "unix" {
		c.url = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", addr.String())
		}
	}
	return c
}

// reply is what a request was answered with.
type reply struct {
	status                            int
	header                            http.Header
	text                              string
	Accepted, Rejected, ErrorsOmitted int
	Errors                            []struct {
		Line          int
		Code, Message string
	}
	Error struct {
		Code, Message string
		Details       struct{ Consumed, Accepted, Rejected int }
	}
}

func (c *client) do(req *http.Request) reply {
	c.t.Helper()
	res, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	got := reply{status: res.StatusCode, header: res.Header, text: string(body)}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		require.NoError(c.t, json.Unmarshal(body, &got), got.text)
	}
	return got
}

func (c *client) request(method, path, media, body string) *http.Request {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, bytes.NewReader([]byte(body)))
	require.NoError(c.t, err)
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	return req
}

// emit sends one event.
func (c *client) emit(event string) reply {
	c.t.Helper()
	return c.do(c.request(http.MethodPost, "/v1/events", "application/json", event))
}

// lines sends NDJSON.
func (c *client) lines(lines ...string) reply {
	c.t.Helper()
	return c.do(c.request(http.MethodPost, "/v1/events", "application/x-ndjson", strings.Join(lines, "\n")))
}

var nopSettings = receivertest.NewNopSettings(metadata.Type)
