package control

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/foundation-agent/foundation-agent/extension/control/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// testHost is a host with extensions of the test's.
type testHost map[component.ID]component.Component

func (h testHost) GetExtensions() map[component.ID]component.Component { return h }

// served is an extension with operator routes.
type served struct {
	component.StartFunc
	component.ShutdownFunc
	routes []operator.Route
}

func (s *served) OperatorRoutes() []operator.Route { return s.routes }

var servedID = component.MustNewID("served")

func echoRoutes() []operator.Route {
	return []operator.Route{
		{Pattern: "GET /v1/echo", Handler: func(w http.ResponseWriter, r *http.Request) {
			door.WriteJSON(w, http.StatusOK, operator.CallerOf(r))
		}},
		{Pattern: "POST /v1/echo", Handler: func(w http.ResponseWriter, r *http.Request) {
			door.WriteJSON(w, http.StatusOK, operator.CallerOf(r))
		}},
		{Pattern: "POST /v1/refuse", Handler: func(w http.ResponseWriter, _ *http.Request) {
			door.WriteError(w, http.StatusConflict, door.Error{Code: "no", Message: "no"})
		}},
	}
}

func testConfig(t *testing.T) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Socket.Path = filepath.Join(shortTempDir(t), "control", "control.sock")
	cfg.Serve = []component.ID{servedID}
	return cfg
}

// shortTempDir is a temporary directory whose path leaves room for a socket's name.
func shortTempDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "fa")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// startControl starts a real control extension that serves routes, and stops it with the test.
func startControl(t *testing.T, cfg *Config, routes []operator.Route) *control {
	c, err := newControl(extensiontest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context(), testHost{servedID: &served{routes: routes}}))
	t.Cleanup(func() { require.NoError(t, c.Shutdown(context.Background())) })
	return c
}

// overSocket is a client of the unix socket.
func overSocket(t *testing.T, path string) *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// do sends one request and returns the status and the body.
func do(t *testing.T, client *http.Client, method, url string, header ...string) (int, string) {
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

func TestSocketIsForItsUserAlone(t *testing.T) {
	cfg := testConfig(t)
	startControl(t, cfg, echoRoutes())
	socket, err := os.Stat(cfg.Socket.Path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), socket.Mode().Perm())
	dir, err := os.Stat(filepath.Dir(cfg.Socket.Path))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), dir.Mode().Perm())
}

func TestDirectoryOpenToOthersIsRefused(t *testing.T) {
	cfg := testConfig(t)
	dir := filepath.Dir(cfg.Socket.Path)
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.Chmod(dir, 0o755))
	c, err := newControl(extensiontest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	err = c.Start(t.Context(), testHost{servedID: &served{}})
	require.ErrorContains(t, err, dir)
	require.NoFileExists(t, cfg.Socket.Path)
}

func TestMutationsAreAudited(t *testing.T) {
	cfg := testConfig(t)
	c := startControl(t, cfg, echoRoutes())
	client := overSocket(t, cfg.Socket.Path)

	status, body := do(t, client, http.MethodPost, "http://agent/v1/echo?author=ann%1b%5B31m&reason=why")
	require.Equal(t, http.StatusOK, status)
	var caller operator.Caller
	require.NoError(t, json.Unmarshal([]byte(body), &caller))
	require.True(t, caller.Local)
	require.Equal(t, int32(os.Getpid()), caller.Peer.PID)
	require.Equal(t, "ann[31m", caller.Name, "control characters are gone")

	status, _ = do(t, client, http.MethodPost, "http://agent/v1/refuse")
	require.Equal(t, http.StatusConflict, status)
	status, _ = do(t, client, http.MethodGet, "http://agent/v1/echo")
	require.Equal(t, http.StatusOK, status)

	_, body = do(t, client, http.MethodGet, "http://agent/v1/audit")
	var answer struct{ Mutations []Mutation }
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.Len(t, answer.Mutations, 2, "a GET is no mutation")
	first, second := answer.Mutations[0], answer.Mutations[1]
	require.Equal(t, uint32(os.Getuid()), *first.UID)
	require.Equal(t, int32(os.Getpid()), first.PID)
	require.Equal(t, "POST /v1/echo", first.Call)
	require.Equal(t, "why", first.Reason)
	require.Equal(t, http.StatusConflict, second.Status)

	event, err := c.Events().Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, eventMutation, event.Name)
	require.Equal(t, int64(os.Getuid()), event.Attributes["user.id"])
}

func TestAuditIsBounded(t *testing.T) {
	cfg := testConfig(t)
	cfg.AuditEntries = 3
	c := startControl(t, cfg, echoRoutes())
	client := overSocket(t, cfg.Socket.Path)
	for range 5 {
		do(t, client, http.MethodPost, "http://agent/v1/echo")
	}
	var seqs []uint64
	for _, m := range c.audit.list(0) {
		seqs = append(seqs, m.Seq)
	}
	require.Equal(t, []uint64{3, 4, 5}, seqs)
	require.Len(t, c.audit.list(4), 1)
	require.Empty(t, c.audit.list(9))
}

func TestWhatIsNotThereIsToldInJSON(t *testing.T) {
	cfg := testConfig(t)
	startControl(t, cfg, echoRoutes())
	client := overSocket(t, cfg.Socket.Path)
	for _, tt := range []struct {
		method, path, code string
		status             int
	}{
		{http.MethodGet, "/v1/nothing", "not_found", http.StatusNotFound},
		{http.MethodDelete, "/v1/echo", "method_not_allowed", http.StatusMethodNotAllowed},
	} {
		status, body := do(t, client, tt.method, "http://agent"+tt.path)
		require.Equal(t, tt.status, status)
		require.Contains(t, body, `"code":"`+tt.code+`"`)
	}
}

func TestPagesOfOtherOriginsAreRefused(t *testing.T) {
	cfg := testConfig(t)
	startControl(t, cfg, echoRoutes())
	status, body := do(t, overSocket(t, cfg.Socket.Path), http.MethodPost, "http://agent/v1/echo", "Origin", "http://evil.example")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, body, "cross_origin")
}

func TestConflictingRoutesNameTheirOwner(t *testing.T) {
	cfg := testConfig(t)
	c, err := newControl(extensiontest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	for pattern, want := range map[string]string{
		"GET /v1/status": "conflicts", "/v1/x": "no method", "GET v1{": "served",
	} {
		err = c.Start(t.Context(), testHost{servedID: &served{routes: []operator.Route{{Pattern: pattern, Handler: http.NotFound}}}})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "served")
	}
}

func TestMissingExtensionIsNamed(t *testing.T) {
	cfg := testConfig(t)
	c, err := newControl(extensiontest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, c.Start(t.Context(), componenttest.NewNopHost()), `"served"`)
	require.NoError(t, c.Shutdown(t.Context()))
}

func TestRestartsOnTheSameSocket(t *testing.T) {
	cfg := testConfig(t)
	for range 2 {
		c, err := newControl(extensiontest.NewNopSettings(metadata.Type), cfg)
		require.NoError(t, err)
		require.NoError(t, c.Start(t.Context(), testHost{servedID: &served{routes: echoRoutes()}}))
		status, body := do(t, overSocket(t, cfg.Socket.Path), http.MethodGet, "http://agent/v1/status")
		require.Equal(t, http.StatusOK, status)
		require.True(t, strings.Contains(body, `"serves":["served"]`), body)
		require.NoError(t, c.Shutdown(t.Context()))
		require.NoFileExists(t, cfg.Socket.Path)
	}
}

func TestPanicIsAudited(t *testing.T) {
	cfg := testConfig(t)
	c := startControl(t, cfg, []operator.Route{{Pattern: "POST /v1/panic", Handler: func(http.ResponseWriter, *http.Request) { panic("boom") }}})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://agent/v1/panic", bytes.NewReader(nil))
	require.NoError(t, err)
	_, err = overSocket(t, cfg.Socket.Path).Do(req)
	require.Error(t, err)
	require.Equal(t, http.StatusInternalServerError, c.audit.list(0)[0].Status)
}
