package foundation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/foundation-agent/foundation-agent/receiver/foundation/internal/metadata"
)

func load(t *testing.T, name string) *Config {
	t.Helper()
	file, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	sub, err := file.Sub(component.NewIDWithName(metadata.Type, name).String())
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	return cfg
}

func TestEveryOption(t *testing.T) {
	cfg := load(t, "")
	unix, tcp := cfg.Unix.Get(), cfg.HTTP.Get()
	assert.Equal(t, "/run/foundation/app.sock", unix.Server.NetAddr.Endpoint)
	assert.Equal(t, "0600", unix.Mode)
	assert.Equal(t, "www-data", unix.Group)
	assert.Equal(t, "0711", unix.DirMode)
	assert.EqualValues(t, 1<<20, unix.Server.MaxRequestBodySize)
	assert.Equal(t, 5*time.Second, unix.Server.ReadHeaderTimeout)
	assert.Equal(t, "127.0.0.1:9999", tcp.NetAddr.Endpoint)
	assert.EqualValues(t, 2<<20, tcp.MaxRequestBodySize)
	assert.Equal(t, []string{"https://app.example"}, tcp.CORS.Get().AllowedOrigins)
	assert.Equal(t, "bearertokenauth", tcp.Auth.Get().Config.AuthenticatorID.String())
	assert.Equal(t, 3*time.Second, cfg.BodyTimeout)
	assert.Equal(t, 4*time.Second, cfg.ConsumeTimeout)
	assert.Equal(t, 2*time.Second, cfg.ShutdownTimeout)
	assert.EqualValues(t, 8<<20, cfg.MaxInFlightBytes)
	assert.Equal(t, "agent_registry", cfg.Registry.String())
	assert.Equal(t, "open_spans", cfg.OpenSpans.String())
	assert.Equal(t, "control", cfg.Control.String())
	enforced := cfg.Enforcement.Get()
	assert.Equal(t, "feature_flags", enforced.Flags.String())
	assert.Equal(t, "another_flag", enforced.Flag)
	assert.True(t, enforced.RequireAgentID)
	assert.Equal(t, 10, enforced.Offenders)
	assert.Len(t, cfg.Mount, 2)
	assert.Len(t, cfg.EventsFrom, 3)
}

func TestDefaults(t *testing.T) {
	cfg := load(t, "least")
	assert.False(t, cfg.HTTP.HasValue())
	assert.False(t, cfg.Enforcement.HasValue())
	assert.Equal(t, "./var/run/app.sock", cfg.Unix.Get().Server.NetAddr.Endpoint)
	assert.Equal(t, "0660", cfg.Unix.Get().Mode)
	assert.EqualValues(t, 4<<20, cfg.Unix.Get().Server.MaxRequestBodySize)
	cfg = load(t, "both")
	assert.True(t, cfg.Unix.HasValue())
	assert.Equal(t, "localhost:4327", cfg.HTTP.Get().NetAddr.Endpoint)
}

// An error names the key, the value, and what is allowed.
func TestWrongConfigurations(t *testing.T) {
	for _, tt := range []struct {
		conf map[string]any
		says []string
	}{
		{map[string]any{}, []string{"unix, http: both are absent"}},
		{map[string]any{"unix": map[string]any{"mode": "rw"}}, []string{"unix: mode: \"rw\"", "octal"}},
		{map[string]any{"unix": map[string]any{"mode": "7777"}}, []string{"unix: mode: \"7777\"", "0777"}},
		{map[string]any{"unix": map[string]any{"dir_mode": ""}}, []string{"unix: dir_mode: \"\""}},
		{map[string]any{"unix": map[string]any{"endpoint": ""}}, []string{"unix: endpoint: empty"}},
		{map[string]any{"unix": map[string]any{"tls": map[string]any{"cert_file": "x", "key_file": "y"}}}, []string{"unix: tls", "mode and group"}},
		{map[string]any{"unix": nil, "body_timeout": "0s"}, []string{"body_timeout: 0s", "above 0"}},
		{map[string]any{"unix": nil, "consume_timeout": "-1s"}, []string{"consume_timeout: -1s"}},
		{map[string]any{"unix": nil, "shutdown_timeout": "0s"}, []string{"shutdown_timeout: 0s"}},
		{map[string]any{"unix": nil, "max_in_flight_bytes": 100}, []string{"unix::max_request_body_size: 4194304", "max_in_flight_bytes (100)"}},
		{map[string]any{"http": map[string]any{"max_request_body_size": -1}}, []string{"http::max_request_body_size: -1"}},
		{map[string]any{"http": map[string]any{"write_timeout": "5s"}}, []string{"http::write_timeout: 5s", "20s"}},
		{map[string]any{"unix": nil, "mount": []any{"a", "a"}}, []string{`mount: "a" is listed twice`}},
		{map[string]any{"unix": nil, "events_from": []any{"a", "b", "a"}}, []string{`events_from: "a" is listed twice`}},
	} {
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, confmap.NewFromStringMap(tt.conf).Unmarshal(cfg))
		err := confmap.Validate(cfg)
		for _, says := range tt.says {
			assert.ErrorContains(t, err, says, "%v", tt.conf)
		}
	}
}
