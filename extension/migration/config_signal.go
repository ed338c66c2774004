// This file is the configuration of signals: which numbers, in which unit.

package migration

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
)

const defaultWindow = 5 * time.Minute

// SignalConfig is one number: where it is read, what is made of it, and its unit.
type SignalConfig struct {
	// Description for people.
	Description string `mapstructure:"description"`
	// Source that it is read from; "self" where empty. Not for ratios.
	Source string `mapstructure:"source"`
	// Metric is the name of the family in a self or prometheus source, with or without the suffixes that
	// exporters add for unit and type (_seconds, _bytes, _total); in vitals, the name of one.
	Metric string `mapstructure:"metric"`
	// Labels that a series must carry to be counted; others are summed up.
	Labels map[string]string `mapstructure:"labels"`
	// Query for a promql source. Its result must be a scalar or one series.
	Query string `mapstructure:"query"`
	// Stat is what is made of the series: value (their sum), mean, rate (a second), increase, p50 … p99 (of
	// histograms), growth_per_hour, or ratio.
	Stat string `mapstructure:"stat"`
	// Dividend and Divisor are the names of the signals that a ratio divides.
	Dividend string `mapstructure:"dividend"`
	Divisor  string `mapstructure:"divisor"`
	// Unit of the number, in UCUM: s, ms, By, 1, {event}/s, By/h.
	Unit string `mapstructure:"unit"`
	// Window that rates, increases, means, quantiles and growth look back over; 5m where empty.
	Window time.Duration `mapstructure:"window"`
}

func (c *Config) validateSignals() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Signals)) {
		if err := c.validateSignal(c.Signals[name]); err != nil {
			errs = append(errs, fmt.Errorf("signals::%s::%w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (c *Config) validateSignal(s SignalConfig) error {
	stat, err := signal.ParseStat(s.stat())
	if err != nil {
		return err
	}
	if s.Window < 0 || (s.Window > 0 && s.Window < c.Interval) {
		return fmt.Errorf("window: %s: must be at least the interval (%s)", s.Window, c.Interval)
	}
	if stat == signal.Ratio {
		return c.validateRatio(s)
	}
	if s.Dividend != "" || s.Divisor != "" {
		return fmt.Errorf("dividend: is for stat: ratio, not for %q", s.stat())
	}
	switch c.sourceType(s.source()) {
	case "":
		return fmt.Errorf("source: %q: no such source; there are %s", s.source(), c.sourceNames())
	case sourcePromQL:
		if s.Query == "" || s.Metric != "" || len(s.Labels) > 0 || stat != signal.Value {
			return errors.New("query: a promql source takes query alone (no metric, labels or stat: the query says it all)")
		}
	default:
		if s.Metric == "" || s.Query != "" {
			return fmt.Errorf("metric: is required for source %q, and query is for promql sources", s.source())
		}
	}
	return nil
}

func (c *Config) validateRatio(s SignalConfig) error {
	if s.Metric != "" || s.Query != "" || s.Source != "" || len(s.Labels) > 0 {
		return errors.New("stat: ratio takes dividend and divisor alone")
	}
	for key, name := range map[string]string{"dividend": s.Dividend, "divisor": s.Divisor} {
		part, ok := c.Signals[name]
		if !ok {
			return fmt.Errorf("%s: %q: no such signal; there are %s", key, name, c.signalNames())
		}
		if part.stat() == "ratio" {
			return fmt.Errorf("%s: %q is a ratio itself: name signals that are read", key, name)
		}
	}
	return nil
}

func (c *Config) signalNames() string {
	return strings.Join(slices.Sorted(maps.Keys(c.Signals)), ", ")
}

func (s SignalConfig) source() string {
	if s.Source == "" {
		return selfSource
	}
	return s.Source
}

func (s SignalConfig) stat() string {
	if s.Stat == "" {
		return "value"
	}
	return s.Stat
}

func (s SignalConfig) window() time.Duration {
	if s.Window == 0 {
		return defaultWindow
	}
	return s.Window
}
