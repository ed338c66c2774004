// This file is the configuration of open_spans.

package openspans

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
)

// What happens to open spans when the agent stops.
const (
	keepOnShutdown    = "keep"    // they stay in storage, and are open again after the next start
	deliverOnShutdown = "deliver" // they end with reason agent_shutdown
)

// Config of the open_spans extension.
type Config struct {
	// Storage is the storage extension that keeps the table over restarts; none: memory only.
	Storage *component.ID `mapstructure:"storage"`
	// StorageInterval is the time between writes: what was acknowledged longer ago survives kill -9.
	StorageInterval time.Duration `mapstructure:"storage_interval"`
	// OnShutdown is keep or deliver. Without storage it is always deliver.
	OnShutdown string `mapstructure:"on_shutdown"`

	// Registry is the agent_registry extension, which proves agent ids and tells of deaths; none: see the README.
	Registry *component.ID `mapstructure:"registry"`

	// Flags is the feature_flags extension; none: both features below are on.
	Flags *component.ID `mapstructure:"flags"`
	// CallsFlag switches the span and context calls of applications.
	CallsFlag string `mapstructure:"calls_flag"`
	// ManagementFlag switches stacks, forced ends and timeouts; off, halves are only paired.
	ManagementFlag string `mapstructure:"management_flag"`

	// MaxSpans bounds the spans held: a quarter is for those that have ended and wait for delivery.
	MaxSpans int `mapstructure:"max_spans"`
	// MaxSpansPerAgent bounds the open spans of one agent; beyond, its own oldest are evicted.
	MaxSpansPerAgent int `mapstructure:"max_spans_per_agent"`
	// MaxMiB bounds the memory of the spans held, in MiB, shared as MaxSpans is.
	MaxMiB int `mapstructure:"max_mib"`
	// MaxSpanBytes bounds one span, in bytes of protobuf.
	MaxSpanBytes int `mapstructure:"max_span_bytes"`

	// Timeout is how long a span may be open before it is ended; a caller may ask for less. 0: for ever.
	Timeout time.Duration `mapstructure:"timeout"`
	// EndWait is how long an end or an update that came first waits for its start.
	EndWait time.Duration `mapstructure:"end_wait"`
	// EndedTTL is how long the ids of ended spans are remembered.
	EndedTTL time.Duration `mapstructure:"ended_ttl"`
	// MaxEnded bounds the ids of ended spans that are remembered.
	MaxEnded int `mapstructure:"max_ended"`

	// Context bounds the error contexts.
	Context ContextConfig `mapstructure:"context"`
}

// ContextConfig bounds the error contexts of processes.
type ContextConfig struct {
	// Linger is how long a span's context serves late logs after the span's end.
	Linger time.Duration `mapstructure:"linger"`
	// MaxDepth bounds the contexts pushed in one process, and the ancestors looked at for one record.
	MaxDepth int `mapstructure:"max_depth"`
	// MaxBytes bounds keys and values of one process's contexts together.
	MaxBytes int `mapstructure:"max_bytes"`
	// MaxProcesses bounds the processes without open spans whose contexts are kept; beyond, the one
	// that was silent longest is forgotten.
	MaxProcesses int `mapstructure:"max_processes"`
}

func createDefaultConfig() component.Config {
	return &Config{
		StorageInterval:  200 * time.Millisecond,
		OnShutdown:       keepOnShutdown,
		CallsFlag:        "use_genserver_telemetry",
		ManagementFlag:   "use_genserver_span_management",
		MaxSpans:         200_000,
		MaxSpansPerAgent: 100_000,
		MaxMiB:           256,
		MaxSpanBytes:     64 << 10,
		Timeout:          time.Hour,
		EndWait:          10 * time.Second,
		EndedTTL:         5 * time.Minute,
		MaxEnded:         100_000,
		Context: ContextConfig{
			Linger:       5 * time.Second,
			MaxDepth:     64,
			MaxBytes:     16 << 10,
			MaxProcesses: 10_000,
		},
	}
}

// Validate reports every wrong option with its key, its value and what is allowed.
func (c *Config) Validate() error {
	var errs []error
	if c.OnShutdown != keepOnShutdown && c.OnShutdown != deliverOnShutdown {
		errs = append(errs, fmt.Errorf("on_shutdown: %q; allowed are %q and %q", c.OnShutdown, keepOnShutdown, deliverOnShutdown))
	}
	if c.CallsFlag == "" {
		errs = append(errs, errors.New(`calls_flag: ""; must name a boolean flag`))
	}
	if c.ManagementFlag == "" {
		errs = append(errs, errors.New(`management_flag: ""; must name a boolean flag`))
	}
	errs = append(errs,
		atLeast("storage_interval", c.StorageInterval, 10*time.Millisecond),
		atLeast("max_spans", c.MaxSpans, minSpans),
		atLeast("max_spans_per_agent", c.MaxSpansPerAgent, 1),
		atLeast("max_mib", c.MaxMiB, 1),
		atLeast("max_span_bytes", c.MaxSpanBytes, 256),
		atLeast("timeout", c.Timeout, 0),
		atLeast("end_wait", c.EndWait, 0),
		atLeast("ended_ttl", c.EndedTTL, time.Second),
		atLeast("max_ended", c.MaxEnded, 1),
		atLeast("context::linger", c.Context.Linger, 0),
		atLeast("context::max_depth", c.Context.MaxDepth, 1),
		atLeast("context::max_bytes", c.Context.MaxBytes, 64),
		atLeast("context::max_processes", c.Context.MaxProcesses, 1),
	)
	return errors.Join(errs...)
}

// minSpans leaves at least one place for a span on its way out.
const minSpans = 4

func atLeast[T int | time.Duration](key string, value, least T) error {
	if value < least {
		return fmt.Errorf("%s: %v; must be at least %v", key, value, least)
	}
	return nil
}
