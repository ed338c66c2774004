package dedup

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func load(t *testing.T, id string) *Config {
	t.Helper()
	all, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := all.Sub(id)
	require.NoError(t, err)
	cfg := createDefaultConfig()
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	return cfg.(*Config)
}

func TestLoadConfig(t *testing.T) {
	require.Equal(t, createDefaultConfig(), load(t, "event_dedup"))

	cfg := load(t, "event_dedup/all")
	require.Equal(t, Rule{
		Name:         "database",
		Match:        MatchConfig{Events: []string{"db.*", "sql.error"}, Body: []string{"timed? ?out"}, Conditions: []string{"log.severity_number >= SEVERITY_NUMBER_ERROR"}},
		Dedup:        &DedupConfig{Window: 30 * time.Second, Emit: emitSummary, Exclude: []string{"attributes.request.id", `attributes.http\.url`, "body.at"}},
		Sampling:     &SamplingConfig{Strategy: sampleRateLimited, Rate: 50, Burst: 100, Window: defaultWindow, MaxWait: 2 * time.Minute},
		Batch:        &BatchConfig{Size: 500, Timeout: 2 * time.Second},
		Caller:       true,
		CallerLimits: CallerLimits{Window: 10 * time.Minute, BatchSize: 1000, BatchTimeout: 30 * time.Second},
		DryRun:       true,
	}, cfg.Rules[0])
	require.Equal(t, &SamplingConfig{Strategy: sampleRandom, Probability: 0.25, Window: defaultWindow, MaxWait: defaultMaxWait}, cfg.Rules[1].Sampling)
	require.Equal(t, time.Hour, cfg.Rules[1].CallerLimits.Window)
	require.Equal(t, component.MustNewIDWithName("file_storage", "events"), *cfg.Storage)
	require.Equal(t, component.MustNewIDWithName("wire_dedup", "grpc"), *load(t, "event_dedup/wire").Wire)
	cfg.Wire = load(t, "event_dedup/wire").Wire // does not go with metadata_keys
	requireAllSet(t, "", reflect.ValueOf(*cfg), reflect.ValueOf(*createDefaultConfig().(*Config)))
}

// requireAllSet fails for an option that the file leaves at its default.
func requireAllSet(t *testing.T, path string, got, standard reflect.Value) {
	t.Helper()
	for i := range got.NumField() {
		name := path + got.Type().Field(i).Name
		switch f := got.Field(i); {
		case !got.Type().Field(i).IsExported(), name == "Retry.Enabled", name == "Retry.MaxElapsedTime": // may not be changed
		case f.Kind() == reflect.Struct:
			requireAllSet(t, name+".", f, standard.Field(i))
		default:
			require.NotEqual(t, standard.Field(i).Interface(), f.Interface(), "%s is not in testdata/config.yaml", name)
		}
	}
}

// Errors name the key, the value, and what is allowed.
func TestValidate(t *testing.T) {
	for want, edit := range map[string]func(*Config){
		"max_keys: 0 is not within 1 and":                       func(c *Config) { c.MaxKeys = 0 },
		"max_bytes: 5 is below the least of 1024":               func(c *Config) { c.MaxBytes = 5 },
		"queue::records: 0 is below the least of 1":             func(c *Config) { c.Queue.Records = 0 },
		"queue::bytes: 1 is below the least of 1024":            func(c *Config) { c.Queue.Bytes = 1 },
		"retry: summaries are never given up":                   func(c *Config) { c.Retry.MaxElapsedTime = time.Hour },
		"storage_interval: 1ms is not within 10ms and 1m":       func(c *Config) { c.StorageInterval = time.Millisecond },
		`on_shutdown: "drop" is neither "keep" nor "deliver"`:   func(c *Config) { c.OnShutdown = "drop" },
		"flag: must not be empty":                               func(c *Config) { c.Flag = "" },
		`metadata_keys: "X-A" is listed twice`:                  func(c *Config) { c.MetadataKeys = []string{"x-a", "X-A"} },
		"metadata_cardinality_limit: 0 is below the least of 1": func(c *Config) { c.MetadataCardinalityLimit = 0 },
		`trust::addresses[0]: "here" is neither an address nor a prefix`: func(c *Config) {
			c.Trust.Addresses = []string{"here"}
		},
		`rules[1]::name: "rule1" is the name of rules[0]`:  func(c *Config) { c.Rules = append(c.Rules, Rule{Name: "rule1", Caller: true}) },
		`rules[0]::name: "none" is reserved`:               func(c *Config) { c.Rules[0].Name = "none" },
		`rules[0] (rule1): has no step`:                    func(c *Config) { c.Rules[0].Dedup = nil },
		`match::events[0]: "[" is no glob`:                 func(c *Config) { c.Rules[0].Match.Events = []string{"["} },
		"match::body[0]: error parsing regexp":             func(c *Config) { c.Rules[0].Match.Body = []string{"("} },
		"dedup::window: 0s is not within 1ms and":          func(c *Config) { c.Rules[0].Dedup.Window = 0 },
		`dedup::emit: "last" is none of first_and_summary`: func(c *Config) { c.Rules[0].Dedup.Emit = "last" },
		`dedup::exclude[0]: "host" is neither`:             func(c *Config) { c.Rules[0].Dedup.Exclude = []string{"host"} },
		`sampling::strategy: "some" is none of always`:     func(c *Config) { c.Rules[0].Sampling = &SamplingConfig{Strategy: "some"} },
		"sampling::probability: 1.5 is not above 0": func(c *Config) {
			c.Rules[0].Sampling = &SamplingConfig{Strategy: sampleRandom, Probability: 1.5}
		},
		"sampling::rate: 0 is not above 0": func(c *Config) { c.Rules[0].Sampling = &SamplingConfig{Strategy: sampleRateLimited} },
		"sampling::target: 0 is not above 0": func(c *Config) {
			c.Rules[0].Sampling = &SamplingConfig{Strategy: sampleAdaptive}
		},
		"sampling::size: 0 is not within 1 and": func(c *Config) { c.Rules[0].Sampling = &SamplingConfig{Strategy: sampleReservoir} },
		"batch::size: 0 is below the least of 1": func(c *Config) {
			c.Rules[0].Batch = &BatchConfig{Timeout: time.Second}
		},
		"wire: wire_dedup cannot tell tenants apart": func(c *Config) {
			wire := component.MustNewID("wire_dedup")
			c.Wire, c.MetadataKeys = &wire, []string{"x-tenant"}
		},
		"caller_limits: window (0s)": func(c *Config) { c.Rules[0].Caller, c.Rules[0].CallerLimits = true, CallerLimits{} },
	} {
		cfg := config(dedupRule(time.Second, emitFirst))
		edit(cfg)
		require.ErrorContains(t, cfg.Validate(), want)
	}
}
