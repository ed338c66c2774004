// Package migration moves a system through stages of feature flags, watches it while it does, and
// rolls back by itself: the staged_migration extension.
package migration

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
)

// Config of the staged_migration extension.
type Config struct {
	// Flags is the feature_flags extension whose flags the stages set. Required.
	Flags component.ID `mapstructure:"flags"`
	// Storage keeps the stage, the history and the baselines. Required: without it a crash could leave half a stage.
	Storage component.ID `mapstructure:"storage"`
	// Control is the control extension, whose tables preview reads and whose self-checks verify runs. Optional.
	Control *component.ID `mapstructure:"control"`
	// Registry is the agent_registry extension, asked for the versions and vitals of what runs here. Optional.
	Registry *component.ID `mapstructure:"registry"`

	// Interval between two samples of all signals, each followed by a verdict on every criterion.
	Interval time.Duration `mapstructure:"interval"`
	// Cooldown after a rollback, in which no stage is advanced.
	Cooldown time.Duration `mapstructure:"cooldown"`
	// StableTime that the last stage must have been observed before finalize says how to remove the flags.
	StableTime time.Duration `mapstructure:"stable_time"`
	// MonitoringFlag turns this extension's metrics and status events on. The guard watches either way.
	MonitoringFlag string `mapstructure:"monitoring_flag"`
	// StatusInterval between two foundation.migration.status events.
	StatusInterval time.Duration `mapstructure:"status_interval"`
	// AlertAfter is how long the guard may be blind, or the soak stand still, before that is an alert.
	AlertAfter time.Duration `mapstructure:"alert_after"`
	// ViolationWindow is how long ago the last violation of a sender must be for verify to pass.
	ViolationWindow time.Duration `mapstructure:"violation_window"`
	// HistoryLimit is how many entries of history are kept; the oldest go first.
	HistoryLimit int `mapstructure:"history_limit"`

	// Sources that signals are read from, by name. Always there are "self", the agent's own telemetry, and
	// "vitals", the numbers that registered agents send with their heartbeats.
	Sources map[string]SourceConfig `mapstructure:"sources"`
	// Signals by name: the numbers that criteria are about.
	Signals map[string]SignalConfig `mapstructure:"signals"`
	// Criteria by name: what must hold, and what happens where it does not.
	Criteria map[string]CriterionConfig `mapstructure:"criteria"`
	// Stages in their order.
	Stages []StageConfig `mapstructure:"stages"`

	Baseline  BaselineConfig  `mapstructure:"baseline"`
	Preflight PreflightConfig `mapstructure:"preflight"`
	Report    ReportConfig    `mapstructure:"report"`

	_ struct{}
}

// BaselineConfig says when a baseline is good enough to be compared with.
type BaselineConfig struct {
	// MinSamples of a signal, overall, below which it is not compared with.
	MinSamples int `mapstructure:"min_samples"`
	// MinHourSamples of a signal in the same hour of the day (UTC), below which all hours are compared with.
	MinHourSamples int `mapstructure:"min_hour_samples"`
	// Reference is the name of the baseline that the guard compares with; "" is the latest complete one.
	Reference string `mapstructure:"reference"`

	_ struct{}
}

// PreflightConfig is the part of the pre-migration checklist that only the users can name.
type PreflightConfig struct {
	// Dashboards are URLs that must answer.
	Dashboards []string `mapstructure:"dashboards"`
	// Attestations are sentences that a person confirms, with their name, before the rollout.
	Attestations []string `mapstructure:"attestations"`
	// RequireAttestations refuses every stage until all of them are.
	RequireAttestations bool `mapstructure:"require_attestations"`
	// RequireRehearsal refuses a stage whose rollback has not been rehearsed.
	RequireRehearsal bool `mapstructure:"require_rehearsal"`

	_ struct{}
}

// ReportConfig bounds what is kept of the signals for reports.
type ReportConfig struct {
	// Resolution is the time that one kept point stands for.
	Resolution time.Duration `mapstructure:"resolution"`
	// Retention of those points.
	Retention time.Duration `mapstructure:"retention"`

	_ struct{}
}

// Sources that are there without being configured.
const (
	selfSource   = "self"   // the agent's own telemetry
	vitalsSource = "vitals" // of the registered agents; empty where registry: is not set
)

func createDefaultConfig() component.Config {
	return &Config{
		Interval:        15 * time.Second,
		Cooldown:        time.Hour,
		StableTime:      48 * time.Hour,
		MonitoringFlag:  "enable_migration_monitoring",
		StatusInterval:  5 * time.Minute,
		AlertAfter:      10 * time.Minute,
		ViolationWindow: time.Hour,
		HistoryLimit:    10_000,
		Signals:         defaultSignals(),
		Criteria:        defaultCriteria(),
		Stages:          defaultStages(),
		Baseline:        BaselineConfig{MinSamples: 60, MinHourSamples: 30},
		Preflight:       PreflightConfig{Attestations: []string{"the team has been notified"}},
		Report:          ReportConfig{Resolution: 5 * time.Minute, Retention: 30 * 24 * time.Hour},
	}
}

var _ confmap.Validator = (*Config)(nil)

// Validate implements confmap.Validator. Each error names the key, its value and what is allowed.
func (c *Config) Validate() error {
	errs := []error{
		atLeast("interval", c.Interval, 100*time.Millisecond),
		atLeast("cooldown", c.Cooldown, 0),
		atLeast("stable_time", c.StableTime, 0),
		atLeast("status_interval", c.StatusInterval, time.Second),
		atLeast("alert_after", c.AlertAfter, c.Interval),
		atLeast("violation_window", c.ViolationWindow, 0),
		atLeast("report::resolution", c.Report.Resolution, c.Interval),
		atLeast("report::retention", c.Report.Retention, c.Report.Resolution),
	}
	if c.Flags == (component.ID{}) {
		errs = append(errs, errors.New("flags: is required: the feature_flags extension whose flags the stages set"))
	}
	if c.Storage == (component.ID{}) {
		errs = append(errs, errors.New("storage: is required: a storage extension; without it a crash could leave half a stage"))
	}
	if c.HistoryLimit < 100 {
		errs = append(errs, fmt.Errorf("history_limit: %d: must be at least 100", c.HistoryLimit))
	}
	if c.Baseline.MinSamples < 2 {
		errs = append(errs, fmt.Errorf("baseline::min_samples: %d: must be at least 2", c.Baseline.MinSamples))
	}
	if c.Baseline.MinHourSamples < 2 {
		errs = append(errs, fmt.Errorf("baseline::min_hour_samples: %d: must be at least 2", c.Baseline.MinHourSamples))
	}
	errs = append(errs, c.validateSources(), c.validateSignals(), c.validateCriteria(), c.validateStages())
	return errors.Join(errs...)
}

func atLeast(key string, got, least time.Duration) error {
	if got < least {
		return fmt.Errorf("%s: %s: must be at least %s", key, got, least)
	}
	return nil
}
