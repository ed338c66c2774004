package control

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/foundation-agent/foundation-agent/extension/control/internal/metadata"
)

func load(t *testing.T, name string) *Config {
	all, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := all.Sub(component.NewIDWithName(metadata.Type, name).String())
	require.NoError(t, err)
	return unmarshal(t, sub)
}

func unmarshal(t *testing.T, conf *confmap.Conf) *Config {
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, conf.Unmarshal(cfg))
	return cfg
}

func TestConfig(t *testing.T) {
	defaults := load(t, "")
	require.NoError(t, confmap.Validate(defaults))
	require.Equal(t, createDefaultConfig(), defaults)
	require.False(t, defaults.TCP.HasValue())
	require.False(t, defaults.StatusPage.HasValue())

	all := load(t, "all")
	require.NoError(t, confmap.Validate(all))
	require.Equal(t, SocketConfig{Path: "/run/foundation-agent/control/control.sock", Mode: 0o660}, all.Socket)
	require.Equal(t, "10.0.0.1:8891", all.TCP.Get().NetAddr.Endpoint)
	require.True(t, all.TCP.Get().Auth.HasValue())
	require.Equal(t, "localhost:9000", all.StatusPage.Get().NetAddr.Endpoint)
	require.Equal(t, []component.ID{component.MustNewID("feature_flags"), component.MustNewIDWithName("agent_registry", "two")}, all.Serve)
	require.Equal(t, 5, all.AuditEntries)
	require.Equal(t, int64(1<<20), all.MaxRestoreBytes)
	require.Equal(t, 2*time.Second, all.CheckTimeout)

	servers := load(t, "defaults_of_servers")
	require.NoError(t, confmap.Validate(servers))
	require.Equal(t, defaultTCPEndpoint, servers.TCP.Get().NetAddr.Endpoint)
	require.Equal(t, defaultPageEndpoint, servers.StatusPage.Get().NetAddr.Endpoint)
}

func TestConfigRefusesByKeyValueAndWhatIsAllowed(t *testing.T) {
	for _, tt := range []struct {
		yaml map[string]any
		want []string
	}{
		{map[string]any{"socket": map[string]any{"path": ""}}, []string{"socket::path", "empty"}},
		{map[string]any{"socket": map[string]any{"path": strings.Repeat("x", 200)}}, []string{"socket::path", "200", "103"}},
		{map[string]any{"socket": map[string]any{"mode": 0o666}}, []string{"socket::mode", "0666", "0660"}},
		{map[string]any{"tcp": map[string]any{"endpoint": "localhost:1"}}, []string{"tcp::auth", "authenticator"}},
		{map[string]any{"tcp": map[string]any{"transport": "unix", "auth": map[string]any{"authenticator": "x"}}}, []string{"tcp::transport", "unix"}},
		{map[string]any{"status_page": map[string]any{"endpoint": "0.0.0.0:1"}}, []string{"status_page::endpoint", "0.0.0.0:1", "loopback"}},
		{map[string]any{"audit_entries": 0}, []string{"audit_entries", "0", "at least 1"}},
		{map[string]any{"max_restore_bytes": -1}, []string{"max_restore_bytes", "-1", "at least 1"}},
		{map[string]any{"check_timeout": "0s"}, []string{"check_timeout", "0s"}},
	} {
		err := confmap.Validate(unmarshal(t, confmap.NewFromStringMap(tt.yaml)))
		require.Error(t, err, tt.yaml)
		for _, want := range tt.want {
			require.ErrorContains(t, err, want)
		}
	}
}

func TestUnknownOptionIsRefused(t *testing.T) {
	require.ErrorContains(t, confmap.NewFromStringMap(map[string]any{"sockets": 1}).Unmarshal(createDefaultConfig()), "sockets")
}
