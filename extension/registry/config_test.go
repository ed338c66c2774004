package registry

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func load(t *testing.T, name string) *Config {
	t.Helper()
	all, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := all.Sub(name)
	require.NoError(t, err)
	cfg := createDefaultConfig()
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	return cfg.(*Config)
}

func TestDefaultConfig(t *testing.T) {
	assert.Equal(t, createDefaultConfig(), load(t, "agent_registry"))
	assert.False(t, load(t, "agent_registry").HTTP.HasValue())
}

// Every option is in testdata, with a value that is not the default.
func TestEveryOption(t *testing.T) {
	cfg := load(t, "agent_registry/all")
	assert.Equal(t, component.MustNewID("feature_flags"), *cfg.Flags)
	assert.Equal(t, "127.0.0.1:4333", cfg.HTTP.Get().NetAddr.Endpoint)
	opamp := cfg.OpAMP.Get()
	assert.Equal(t, "127.0.0.1:4330", opamp.Server.NetAddr.Endpoint)
	assert.Equal(t, int64(65536), opamp.MaxMessageBytes)
	assert.Equal(t, 10, opamp.MaxConnections)
	assert.Equal(t, 10*time.Second, opamp.Lease)
	assert.Equal(t, LeaseConfig{Default: 20 * time.Second, Min: 2 * time.Second, Max: time.Hour}, cfg.Lease)
	var same func(path string, a, b reflect.Value)
	same = func(path string, a, b reflect.Value) {
		for i := range a.NumField() {
			name := path + a.Type().Field(i).Name
			if f := a.Field(i); f.Kind() == reflect.Struct && a.Type().Field(i).Name != "HTTP" && a.Type().Field(i).Name != "OpAMP" {
				same(name+".", f, b.Field(i))
			} else {
				assert.NotEqual(t, b.Field(i).Interface(), f.Interface(), name)
			}
		}
	}
	same("", reflect.ValueOf(*cfg), reflect.ValueOf(*createDefaultConfig().(*Config)))
}

func TestWrongConfigNamesKeyValueAndWhatIsAllowed(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`on_conflict: "maybe" is not allowed: take_over or refuse`: func(c *Config) { c.OnConflict = "maybe" },
		`lease::min: 1ms is not allowed: 500ms or more`:            func(c *Config) { c.Lease.Min = time.Millisecond },
		"lease::max: 100ms is not allowed: lease::min (1s) or more\nlease::default: 100ms is not allowed: from lease::min (1s) to lease::max (100ms)": func(c *Config) { c.Lease.Max, c.Lease.Default = 100*time.Millisecond, 100*time.Millisecond },
		`lease::default: 48h0m0s is not allowed: from lease::min (1s) to lease::max (24h0m0s)`:                                                        func(c *Config) { c.Lease.Default = 48 * time.Hour },
		`endpoint::allowed_ports: "9-8" is not allowed: a port from 1 to 65535 (9464), or a range of them (9000-9999)`:                                func(c *Config) { c.Endpoint.AllowedPorts = []string{"9-8"} },
		`endpoint::allowed_ports: "http" is not allowed: a port from 1 to 65535 (9464), or a range of them (9000-9999)`:                               func(c *Config) { c.Endpoint.AllowedPorts = []string{"http"} },
		`endpoint::allowed_ports: "70000" is not allowed: a port from 1 to 65535 (9464), or a range of them (9000-9999)`:                              func(c *Config) { c.Endpoint.AllowedPorts = []string{"70000"} },
		`downs::keep_for: -1s is not allowed: 0 or more`:                                                                                              func(c *Config) { c.Downs.KeepFor = -time.Second },
		`downs::per_second: 0 is not allowed: 1 or more`:                                                                                              func(c *Config) { c.Downs.PerSecond = 0 },
		`limits::max_entries: 0 is not allowed: 1 or more`:                                                                                            func(c *Config) { c.Limits.MaxEntries = 0 },
		`limits::max_vitals: -1 is not allowed: 0 or more`:                                                                                            func(c *Config) { c.Limits.MaxVitals = -1 },
		`write_interval: 0s is not allowed: 10ms or more`:                                                                                             func(c *Config) { c.WriteInterval = 0 },
		`flag: "" is not allowed: the name of a boolean flag, as flags is set`:                                                                        func(c *Config) { c.Flags, c.Flag = &flagsID, "" },
		`opamp::max_message_bytes: 1 is not allowed: 1024 or more`:                                                                                    func(c *Config) { c.OpAMP.GetOrInsertDefault().MaxMessageBytes = 1 },
		`opamp::max_connections: 0 is not allowed: 1 or more`:                                                                                         func(c *Config) { c.OpAMP.GetOrInsertDefault().MaxConnections = 0 },
		`opamp::lease: 0s is not allowed: 500ms or more`:                                                                                              func(c *Config) { c.OpAMP.GetOrInsertDefault().Lease = 0 },
	} {
		cfg := createDefaultConfig().(*Config)
		change(cfg)
		assert.EqualError(t, cfg.Validate(), want)
	}
}
