package openspans

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func TestEveryOption(t *testing.T) {
	conf, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	sub, err := conf.Sub("open_spans")
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	storage, registry, flags := component.MustNewID("file_storage"), component.MustNewID("agent_registry"), component.MustNewID("feature_flags")
	assert.Equal(t, &Config{
		Storage: &storage, StorageInterval: 100 * time.Millisecond, OnShutdown: "deliver",
		Registry: &registry, Flags: &flags, CallsFlag: "my_calls", ManagementFlag: "my_management",
		MaxSpans: 1000, MaxSpansPerAgent: 100, MaxMiB: 10, MaxSpanBytes: 1000,
		Timeout: 10 * time.Minute, EndWait: 3 * time.Second, EndedTTL: time.Minute, MaxEnded: 500,
		Context: ContextConfig{Linger: 2 * time.Second, MaxDepth: 8, MaxBytes: 1000, MaxProcesses: 50},
	}, cfg)
	o, err := newOpenSpans(nopSettings(), cfg)
	require.NoError(t, err)
	assert.Len(t, o.Dependencies(), 3)
}

func TestWrongOptionsAreNamed(t *testing.T) {
	for key, change := range map[string]func(*Config){
		`on_shutdown: "drop"; allowed are "keep" and "deliver"`: func(c *Config) { c.OnShutdown = "drop" },
		"storage_interval: 1ms; must be at least 10ms":          func(c *Config) { c.StorageInterval = time.Millisecond },
		"max_spans: 3; must be at least 4":                      func(c *Config) { c.MaxSpans = 3 },
		"max_spans_per_agent: 0; must be at least 1":            func(c *Config) { c.MaxSpansPerAgent = 0 },
		"max_mib: 0; must be at least 1":                        func(c *Config) { c.MaxMiB = 0 },
		"max_span_bytes: 10; must be at least 256":              func(c *Config) { c.MaxSpanBytes = 10 },
		"timeout: -1s; must be at least 0s":                     func(c *Config) { c.Timeout = -time.Second },
		"end_wait: -1s; must be at least 0s":                    func(c *Config) { c.EndWait = -time.Second },
		"ended_ttl: 0s; must be at least 1s":                    func(c *Config) { c.EndedTTL = 0 },
		"max_ended: 0; must be at least 1":                      func(c *Config) { c.MaxEnded = 0 },
		"context::linger: -1s; must be at least 0s":             func(c *Config) { c.Context.Linger = -time.Second },
		"context::max_depth: 0; must be at least 1":             func(c *Config) { c.Context.MaxDepth = 0 },
		"context::max_bytes: 1; must be at least 64":            func(c *Config) { c.Context.MaxBytes = 1 },
		"context::max_processes: 0; must be at least 1":         func(c *Config) { c.Context.MaxProcesses = 0 },
		`calls_flag: ""; must name a boolean flag`:              func(c *Config) { c.CallsFlag = "" },
		`management_flag: ""; must name a boolean flag`:         func(c *Config) { c.ManagementFlag = "" },
	} {
		cfg := createDefaultConfig().(*Config)
		change(cfg)
		assert.ErrorContains(t, cfg.Validate(), key)
	}
}

func TestMissingExtensionsAreNamed(t *testing.T) {
	id := component.MustNewID("nowhere")
	for key, change := range map[string]func(*Config){
		"storage":  func(c *Config) { c.Storage = &id },
		"registry": func(c *Config) { c.Registry = &id },
		"flags":    func(c *Config) { c.Flags = &id },
	} {
		cfg := createDefaultConfig().(*Config)
		change(cfg)
		o, err := newOpenSpans(nopSettings(), cfg)
		require.NoError(t, err)
		assert.ErrorContains(t, o.Start(t.Context(), testHost{}), key+`: extension "nowhere"`)
	}
}
