// This file judges all criteria on each sample and shows the verdicts.

package migration

import (
	"maps"
	"slices"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/guard"
	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// reference gives what the baseline knows of a signal at a time: false where it knows too little.
type reference interface {
	Reference(signal string, at time.Time) (float64, bool)
}

// criterion is one criterion through time.
type criterion struct {
	name      string
	cfg       CriterionConfig
	signal    SignalConfig
	threshold guard.Threshold
	tracker   *guard.Tracker

	value    guard.Value
	limit    float64
	baseline float64
	compared bool // baseline and limit are known
}

// criteria are all of them, by name. The watch owns them; views are copies.
type criteria []*criterion

func newCriteria(cfg *Config) (criteria, error) {
	all := criteria{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Criteria)) {
		c := cfg.Criteria[name]
		s := cfg.Signals[c.Signal]
		threshold, err := guard.ParseThreshold(c.Threshold, c.AtLeast, s.Unit)
		if err != nil {
			return nil, err
		}
		rule := guard.Rule{Threshold: threshold, For: c.For, KeepFiringFor: c.KeepFiringFor, Missing: c.Missing}
		all = append(all, &criterion{
			name: name, cfg: c, signal: s, threshold: threshold, tracker: guard.NewTracker(rule),
			value: guard.Unknown("not sampled yet"),
		})
	}
	return all, nil
}

// observe judges a sample. step is the observed time since the sample before. It returns the criteria
// that have just been breached.
func (all criteria) observe(s signal.Sample, step time.Duration, ref reference) []*criterion {
	var breached []*criterion
	for _, c := range all {
		before, _ := c.tracker.State()
		if c.observe(s, step, ref) == guard.Breached && before != guard.Breached {
			breached = append(breached, c)
		}
	}
	return breached
}

func (c *criterion) observe(s signal.Sample, step time.Duration, ref reference) guard.State {
	c.value, c.compared, c.baseline = s.Values[c.cfg.Signal], true, 0
	if c.threshold.Relative() {
		c.baseline, c.compared = ref.Reference(c.cfg.Signal, s.At)
	}
	value := c.value
	if !c.compared && value.OK {
		value = guard.Unknown("no baseline to compare with: collect one, or wait until it has enough samples")
		c.value.Reason = value.Reason
	}
	c.limit = c.threshold.Limit(c.baseline)
	return c.tracker.Observe(s.At, step, value, c.limit)
}

// reset forgets what was seen of all criteria.
func (all criteria) reset() {
	for _, c := range all {
		c.tracker.Reset()
	}
}

// view is the verdict with what led to it.
func (c *criterion) view(guards, exit bool) operator.MigrationCriterion {
	state, since := c.tracker.State()
	v := operator.MigrationCriterion{
		Name: c.name, Signal: c.cfg.Signal, Unit: c.signal.Unit, Threshold: c.threshold.String(),
		State: string(state), Since: since.UTC(), Reason: c.value.Reason, Action: c.cfg.action(), Guards: guards, Exit: exit,
	}
	if c.value.OK {
		v.Value = &c.value.Number
	}
	if c.compared {
		v.Limit = &c.limit
		if c.threshold.Relative() {
			v.Baseline = &c.baseline
		}
	}
	if state == guard.Missing {
		v.Missing = string(c.cfg.missing())
	}
	return v.Copy()
}

func (cr CriterionConfig) missing() guard.Verdict {
	if cr.Missing == "" {
		return guard.Hold
	}
	return cr.Missing
}
