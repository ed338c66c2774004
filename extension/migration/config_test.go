package migration

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/guard"
)

func load(t *testing.T, id string) *Config {
	t.Helper()
	file, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	sub, err := file.Sub(id)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	return cfg
}

func TestEveryOption(t *testing.T) {
	cfg := load(t, "staged_migration")
	assert.Equal(t, "feature_flags/other", cfg.Flags.String())
	assert.Equal(t, "file_storage/other", cfg.Storage.String())
	assert.Equal(t, "control/other", cfg.Control.String())
	assert.Equal(t, "agent_registry/other", cfg.Registry.String())
	assert.Equal(t, []time.Duration{30 * time.Second, 2 * time.Hour, 24 * time.Hour, time.Minute, 20 * time.Minute, 10 * time.Minute},
		[]time.Duration{cfg.Interval, cfg.Cooldown, cfg.StableTime, cfg.StatusInterval, cfg.AlertAfter, cfg.ViolationWindow})
	assert.Equal(t, "another_flag", cfg.MonitoringFlag)
	assert.Equal(t, 500, cfg.HistoryLimit)
	service := cfg.Sources["service"]
	assert.Equal(t, sourcePrometheus, service.Type)
	assert.Equal(t, 3*time.Second, service.Timeout)
	assert.Equal(t, "http://127.0.0.1:9999/metrics", cfg.Sources["self"].Endpoint)
	assert.Equal(t, sourcePromQL, cfg.Sources["prometheus"].Type)
	assert.Equal(t, SignalConfig{
		Description: "how slow", Source: "service", Metric: "http_duration", Labels: map[string]string{"code": "200"}, Stat: "p99", Unit: "s", Window: 10 * time.Minute,
	}, cfg.Signals["latency"])
	assert.Equal(t, "failed", cfg.Signals["share"].Dividend)
	assert.Equal(t, "sum(rate(http_requests_total[5m]))", cfg.Signals["all"].Query)
	assert.Contains(t, cfg.Signals, "registry_lookup_p99", "the defaults are beside one's own")
	assert.Equal(t, CriterionConfig{
		Signal: "latency", Threshold: "< 250ms", For: time.Minute, KeepFiringFor: 2 * time.Minute, Missing: guard.Breach, Action: ActionRollbackAll,
	}, cfg.Criteria["latency"])
	assert.Equal(t, "1 %", cfg.Criteria["share"].AtLeast)
	assert.Equal(t, []StageConfig{
		{ID: "canary", Name: "the canary", Description: "one flag", Risk: "high", Flags: []string{"one", "two"}, Soak: time.Hour, Guard: []string{"latency"}, Exit: []string{"share"}},
		{ID: "rest", Flags: []string{"three"}, PreviousSoak: 3 * time.Hour},
	}, cfg.Stages)
	assert.Equal(t, BaselineConfig{MinSamples: 100, MinHourSamples: 50, Reference: "before"}, cfg.Baseline)
	assert.Equal(t, PreflightConfig{
		Dashboards: []string{"http://127.0.0.1:3000"}, Attestations: []string{"the team knows"}, RequireAttestations: true, RequireRehearsal: true,
	}, cfg.Preflight)
	assert.Equal(t, ReportConfig{Resolution: time.Minute, Retention: 24 * time.Hour}, cfg.Report)
}

// The defaults are the users' rollout with the runbook's soak times.
func TestDefaults(t *testing.T) {
	cfg := load(t, "staged_migration/least")
	s := stages(cfg.Stages)
	assert.Equal(t, "none, 1, 2, 3, 4a, 4b, 5", s.names())
	var soaks []time.Duration
	for position := 1; position <= len(s); position++ {
		soaks = append(soaks, s.soak(position))
	}
	const hour = time.Hour
	assert.Equal(t, []time.Duration{4 * hour, 24 * hour, 24 * hour, 24 * hour, 72 * hour, 48 * hour}, soaks)
	assert.Equal(t, 48*hour, cfg.StableTime)
	assert.Len(t, s.flags(0, len(s)), 7)
}

func TestErrorsNameKeyValueAndWhatIsAllowed(t *testing.T) {
	const least = "flags: f\nstorage: s\n"
	for config, want := range map[string]string{
		"storage: s":                                                                   "flags: is required",
		"flags: f":                                                                     "storage: is required",
		least + "interval: 1ms":                                                        "interval: 1ms: must be at least 100ms",
		least + "history_limit: 1":                                                     "history_limit: 1: must be at least 100",
		least + "report: {retention: 1s}":                                              "report::retention: 1s: must be at least",
		least + "baseline: {min_samples: 1}":                                           "baseline::min_samples: 1: must be at least 2",
		least + "sources: {x: {type: graphite}}":                                       `sources::x::type: "graphite": must be self, prometheus or promql`,
		least + "sources: {x: {type: promql}}":                                         "sources::x::endpoint: is required",
		least + "sources: {x: {type: self}}":                                           "the source named \"self\", and no other",
		least + "sources: {vitals: {type: promql, endpoint: x}}":                       "the name is taken",
		least + "signals: {x: {metric: m, stat: median}}":                              `signals::x::stat: "median": must be value, rate`,
		least + "signals: {x: {metric: m, source: y}}":                                 `signals::x::source: "y": no such source; there are self, vitals`,
		least + "signals: {x: {}}":                                                     "signals::x::metric: is required",
		least + "signals: {x: {stat: ratio, dividend: y, divisor: errors}}":            `dividend: "y": no such signal`,
		least + "signals: {x: {metric: m, dividend: errors}}":                          "dividend: is for stat: ratio",
		least + "signals: {x: {metric: m, window: 1s}}":                                "window: 1s: must be at least the interval",
		least + "sources: {p: {type: promql, endpoint: x}}\nsignals: {x: {source: p}}": "query: a promql source takes query alone",
		least + "criteria: {x: {signal: y, threshold: '< 1'}}":                         `criteria::x::signal: "y": no such signal`,
		least + "criteria: {x: {signal: errors, threshold: '1'}}":                      `threshold: "1": must be like`,
		least + "criteria: {x: {signal: errors, threshold: '< 1', missing: maybe}}":    `missing: "maybe": must be hold, pass or breach`,
		least + "criteria: {x: {signal: errors, threshold: '< 1', action: pray}}":      `action: "pray": must be rollback_stage`,
		least + "criteria: {x: {signal: errors, threshold: '< 1', for: -1s}}":          "for: -1s: must not be negative",
		least + "stages: []":                                                           "stages: must name at least one stage",
		least + "stages: [{id: none, flags: [a]}]":                                     `stages[0]::id: "none"`,
		least + "stages: [{id: a, flags: [a]}, {id: a, flags: [b]}]":                   `stages[1]::id: "a": stages[0] has it already`,
		least + "stages: [{id: a, flags: [a]}, {id: b, flags: [a]}]":                   `stages[1]::flags: "a": stage "a" sets it already`,
		least + "stages: [{id: a, flags: []}]":                                         "stages[0]::flags: must name at least one",
		least + "stages: [{id: a, flags: [a], risk: huge}]":                            `stages[0]::risk: "huge": must be low, medium or high`,
		least + "stages: [{id: a, flags: [a], guard: [nothing]}]":                      `guard, exit: "nothing": no such criterion`,
	} {
		conf, err := confmap.NewRetrievedFromYAML([]byte(config))
		require.NoError(t, err)
		m, err := conf.AsConf()
		require.NoError(t, err)
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, m.Unmarshal(cfg), config)
		require.ErrorContains(t, confmap.Validate(cfg), want, config)
	}
}
