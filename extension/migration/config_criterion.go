// This file is the configuration of criteria: what must hold of a signal, and what happens where it does not.

package migration

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/guard"
)

// Actions of a criterion that a guard finds breached.
const (
	ActionRollbackStage = "rollback_stage" // back to the stage before the present one
	ActionRollbackAll   = "rollback_all"   // back to before the first stage
	ActionAlert         = "alert"          // an alert event and a log line; the soak pauses
)

// CriterionConfig is a threshold on a signal.
type CriterionConfig struct {
	// Signal that it is about.
	Signal string `mapstructure:"signal"`
	// Threshold that must hold: absolute ("< 5ms", ">= 10000") or against the baseline ("+20 %": not more
	// than a fifth above it, "-10 %": not more than a tenth below it).
	Threshold string `mapstructure:"threshold"`
	// AtLeast bounds a threshold against the baseline: whatever the baseline, a value on the good side of
	// this one is no breach. In the signal's unit, or with one of its own ("5ms").
	AtLeast string `mapstructure:"at_least"`
	// For is how long the threshold must be broken, without a good sample between, before it is a breach.
	For time.Duration `mapstructure:"for"`
	// KeepFiringFor is how long it must hold again before a breach is over.
	KeepFiringFor time.Duration `mapstructure:"keep_firing_for"`
	// Missing is the verdict where there is no number: hold (the soak pauses), pass, or breach. "" is hold.
	Missing guard.Verdict `mapstructure:"missing"`
	// Action of a breach while a stage's guard lists this criterion: rollback_stage ("" too), rollback_all or alert.
	Action string `mapstructure:"action"`
}

func (c *Config) validateCriteria() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Criteria)) {
		if err := c.validateCriterion(c.Criteria[name]); err != nil {
			errs = append(errs, fmt.Errorf("criteria::%s::%w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (c *Config) validateCriterion(cr CriterionConfig) error {
	s, ok := c.Signals[cr.Signal]
	if !ok {
		return fmt.Errorf("signal: %q: no such signal; there are %s", cr.Signal, c.signalNames())
	}
	if _, err := guard.ParseThreshold(cr.Threshold, cr.AtLeast, s.Unit); err != nil {
		return err
	}
	if cr.For < 0 {
		return fmt.Errorf("for: %s: must not be negative", cr.For)
	}
	if cr.KeepFiringFor < 0 {
		return fmt.Errorf("keep_firing_for: %s: must not be negative", cr.KeepFiringFor)
	}
	if err := cr.Missing.Validate(); err != nil {
		return fmt.Errorf("missing: %w", err)
	}
	switch cr.Action {
	case "", ActionRollbackStage, ActionRollbackAll, ActionAlert:
		return nil
	}
	return fmt.Errorf("action: %q: must be %s, %s or %s", cr.Action, ActionRollbackStage, ActionRollbackAll, ActionAlert)
}

func (c *Config) criterionNames() string {
	return strings.Join(slices.Sorted(maps.Keys(c.Criteria)), ", ")
}

func (cr CriterionConfig) action() string {
	if cr.Action == "" {
		return ActionRollbackStage
	}
	return cr.Action
}
