// This file is the watch: each interval it samples all signals, judges all criteria, lets the soak grow
// where everything was seen and holds, and acts where a guard is breached.

package migration

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/guard"
	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// sampler reads all signals.
type sampler interface {
	Sample(ctx context.Context, now time.Time) signal.Sample
	Restart()
}

// recorder keeps samples: the baseline under way, and the points of reports.
type recorder interface {
	Record(s signal.Sample, step time.Duration)
}

// watch is run by one goroutine; what it last saw may be read by any.
type watch struct {
	cfg       *Config
	logger    *zap.Logger
	sampler   sampler
	rollout   *rollout
	reference reference
	recorders []recorder
	versions  func() []string // service.version beside those that sources tell
	now       func() time.Time

	last     time.Time // of the sample before; zero before the first
	position int       // of the stage, at the sample before
	alerts   *alerts

	mu       sync.Mutex
	criteria criteria
	sample   signal.Sample
	paused   string // why the soak did not grow at the last sample
}

// run samples until ctx ends, first when the sources are known.
func (w *watch) run(ctx context.Context, known <-chan struct{}) {
	ticker := time.NewTicker(w.cfg.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-known:
			known = nil
		case <-ticker.C:
		}
		w.tick(ctx)
	}
}

// tick takes one sample and draws the consequences.
func (w *watch) tick(ctx context.Context) {
	w.rollout.reconcile(ctx)
	position := w.rollout.position()
	if position != w.position {
		w.restart(position)
	}
	sample := w.sampler.Sample(ctx, w.now())
	if ctx.Err() != nil {
		return // sources did not answer because the agent stops
	}
	step := w.step(sample.At)

	w.mu.Lock()
	w.sample = sample
	breached := w.criteria.observe(sample, step, w.reference)
	w.paused = w.whyPaused(position, step)
	paused := w.paused
	w.mu.Unlock()

	for _, r := range w.recorders {
		r.Record(sample, step)
	}
	w.soak(sample, step, paused)
	w.alerts.check(w, position, paused, step)
	w.act(ctx, position, breached)
}

// step is the observed time since the sample before: none over a gap, in which nobody looked.
func (w *watch) step(at time.Time) time.Duration {
	defer func() { w.last = at }()
	step := at.Sub(w.last)
	if w.last.IsZero() || step < 0 || step > 2*w.cfg.Interval+time.Second {
		return 0
	}
	return step
}

// restart lets a new stage be judged by what is seen while it is on.
func (w *watch) restart(position int) {
	w.position = position
	w.sampler.Restart()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.criteria.reset()
}

// whyPaused says why this sample's time does not count as observed, "" where it does. w.mu is held.
func (w *watch) whyPaused(position int, step time.Duration) string {
	if step == 0 {
		return "the first sample after a gap: time counts between samples"
	}
	for _, c := range w.criteria {
		if !w.concerns(position, c.name) {
			continue
		}
		if source := c.signal.source(); w.sample.Errors[source] != nil {
			return "source " + source + " cannot be read: " + w.sample.Errors[source].Error()
		}
		if !c.tracker.Holds() {
			state, _ := c.tracker.State()
			return strings.TrimSuffix("criterion "+c.name+" is "+string(state)+": "+c.value.Reason, ": ")
		}
	}
	if drift := w.rollout.drift(); len(drift) > 0 {
		return "flags are not as the stage wants them: " + strings.Join(drift, ", ")
	}
	return ""
}

// concerns reports whether a criterion guards a position or is for its exit.
func (w *watch) concerns(position int, name string) bool {
	return w.rollout.stages.guards(position)[name] || slices.Contains(w.rollout.stages.exits(position), name)
}

// soak lets observed time grow, or restarts it for another version of the service.
func (w *watch) soak(s signal.Sample, step time.Duration, paused string) {
	if len(s.Errors) > 0 {
		w.rollout.observe(step, nil, paused)
		return // a source that is away takes its versions with it
	}
	versions := append(w.versions(), s.Versions...)
	slices.Sort(versions)
	w.rollout.observe(step, slices.Compact(versions), paused)
}

// act rolls back for guards that have just been breached, as far back as the strictest asks.
func (w *watch) act(ctx context.Context, position int, breached []*criterion) {
	guards := w.rollout.stages.guards(position)
	to, evidence := position, []operator.MigrationCriterion(nil)
	for _, c := range breached {
		if !guards[c.name] {
			continue
		}
		w.mu.Lock()
		view := c.view(true, slices.Contains(w.rollout.stages.exits(position), c.name))
		w.mu.Unlock()
		switch c.cfg.action() {
		case ActionAlert:
			w.rollout.record(operator.MigrationEntry{
				Kind: kindAlert, From: w.rollout.stages.id(position), To: w.rollout.stages.id(position), Author: itself,
				Reason: "criterion " + c.name, Message: "look at it: foundation-agent migrate status; go back: foundation-agent migrate rollback",
				Persisted: true, Criteria: []operator.MigrationCriterion{view},
			})
			continue
		case ActionRollbackAll:
			to = 0
		default:
			to = min(to, position-1)
		}
		evidence = append(evidence, view)
	}
	if len(evidence) > 0 {
		w.rollBack(ctx, to, evidence)
	}
}

// rollBack goes back by itself. What is under way gives way to it; where the flags refuse, everything
// goes: a guard that cannot take one step back takes all.
func (w *watch) rollBack(ctx context.Context, to int, evidence []operator.MigrationCriterion) {
	by := flag.Author{Name: itself, Reason: "the guard found: " + strings.Join(explain(evidence), "; ")}
	ctx, done, err := w.rollout.takeFrom(ctx, "a rollback by the guard")
	if err == nil {
		defer done()
		if w.rollout.position() <= to {
			return // an operator was faster
		}
		_, err = w.rollout.rollback(ctx, to, by, "", evidence)
	}
	if err == nil || errors.Is(err, errOvertaken) {
		return
	}
	w.logger.Error("The stage could not be rolled back: everything is", zap.Error(err))
	if _, err := w.rollout.emergency(ctx, by, "the guard could not roll back the stage alone: "+err.Error()); err != nil {
		w.logger.Error("The emergency rollback failed", zap.Error(err))
	}
}

// views are the verdicts of the last sample.
func (w *watch) views() []operator.MigrationCriterion {
	position := w.rollout.position()
	guards, exits := w.rollout.stages.guards(position), w.rollout.stages.exits(position)
	w.mu.Lock()
	defer w.mu.Unlock()
	views := make([]operator.MigrationCriterion, 0, len(w.criteria))
	for _, c := range w.criteria {
		views = append(views, c.view(guards[c.name], slices.Contains(exits, c.name)))
	}
	return views
}

// failing are the criteria that keep a position from its exit, and whether all of them are only unseen.
func (w *watch) failing(position int) (views []operator.MigrationCriterion, unseen bool) {
	guards, exits := w.rollout.stages.guards(position), w.rollout.stages.exits(position)
	unseen = true
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.criteria {
		exit := slices.Contains(exits, c.name)
		if !guards[c.name] && !exit || c.tracker.Holds() {
			continue
		}
		state, _ := c.tracker.State()
		unseen = unseen && state == guard.Missing
		views = append(views, c.view(guards[c.name], exit))
	}
	return views, unseen
}

// seen returns the last sample and why the soak did not grow at it.
func (w *watch) seen() (signal.Sample, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sample, w.paused
}
