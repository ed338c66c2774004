package flags

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func TestEveryOption(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	section, err := conf.Sub("feature_flags")
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, section.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))

	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = "127.0.0.1:8016"
	storage := component.MustNewID("file_storage")
	require.Equal(t, &Config{
		Files:   []string{"/etc/foundation-agent/flags.json", "/etc/foundation-agent/more.yaml"},
		HostKey: "node-17",
		Storage: &storage,
		Marker:  "/var/lib/foundation-agent/feature_flags.marker",
		OFREP: OFREPConfig{
			HTTP:         configoptional.Some(server),
			Allow:        []string{"app-*", "use_ets_agent_registry"},
			MaxBodyBytes: 16384,
			MaxStreams:   8,
		},
	}, cfg)
	require.NoError(t, componenttest.CheckConfigStruct(cfg))
}

func TestWrongConfigurationIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no file":     {func(c *Config) { c.Files = nil }, "files: name at least one file"},
		"empty file":  {func(c *Config) { c.Files = []string{""} }, "files[0]"},
		"file twice":  {func(c *Config) { c.Files = []string{"a", "./a"} }, `files[1]: "./a" is listed twice`},
		"marker":      {func(c *Config) { c.Marker = "m" }, `marker: "m" needs storage`},
		"bad glob":    {func(c *Config) { c.OFREP.Allow = []string{"["} }, `ofrep::allow[0]: "["`},
		"no body":     {func(c *Config) { c.OFREP.MaxBodyBytes = 0 }, "ofrep::max_body_bytes: 0"},
		"bad streams": {func(c *Config) { c.OFREP.MaxStreams = -1 }, "ofrep::max_streams: -1"},
	} {
		cfg := configOf(shipped)
		c.change(cfg)
		require.ErrorContains(t, cfg.Validate(), c.want, name)
	}
}

func TestMissingAndBrokenFilesAreErrorsAtStart(t *testing.T) {
	for file, want := range map[string]string{
		"testdata/nobody.json":               "testdata/nobody.json",
		fileOf(t, "f.json", `{"flags":5}`):   "f.json",
		fileOf(t, "f.yaml", "flags: [1, 2"):  "f.yaml",
		fileOf(t, "g.json", `{"flags":{}}}`): "g.json",
	} {
		e, err := newExtension(settings(), configOf(file))
		require.NoError(t, err)
		require.ErrorContains(t, e.Start(t.Context(), nopHost), want)
		require.NoError(t, e.Shutdown(t.Context()))
	}
}

func TestPortThatIsTakenIsAnErrorAtStart(t *testing.T) {
	first := started(t, withEndpoint)
	cfg := configOf(shipped)
	withEndpoint(cfg)
	cfg.OFREP.HTTP.Get().NetAddr.Endpoint = first.ofrep.addr.String()
	e, err := newExtension(settings(), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, e.Start(t.Context(), nopHost), "ofrep::http")
	require.NoError(t, e.Shutdown(t.Context()))
}
