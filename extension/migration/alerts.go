// This file finds what needs a person and is no criterion: a guard that cannot see, a soak that stands
// still, a storage that fails, flags that somebody changed. Each is told once, with the command to run.

package migration

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// alerts are what needs a person now. Safe for concurrent use.
type alerts struct {
	mu     sync.Mutex
	begun  map[string]time.Duration // observed time that a condition has held
	raised map[string]string        // by alert: what to do
}

func newAlerts() *alerts {
	return &alerts{begun: map[string]time.Duration{}, raised: map[string]string{}}
}

// Names of the alerts, as in the metric.
const (
	alertBlind      = "guard_blind"
	alertStalled    = "soak_stalled"
	alertNotDurable = "storage_not_durable"
	alertDrifted    = "flags_drifted"
)

// check holds every condition against the last sample.
func (a *alerts) check(w *watch, position int, paused string, step time.Duration) {
	sample, _ := w.seen()
	a.set(w, alertBlind, step, w.cfg.AlertAfter, blind(w, position, sample.Errors),
		"see which source and why: foundation-agent migrate status; meanwhile nobody watches: foundation-agent migrate rollback")
	stalled := ""
	if st := w.rollout.snapshot(); position > 0 && st.Soak.Observed < w.rollout.stages.soak(position) {
		stalled = paused
	}
	a.set(w, alertStalled, step, w.cfg.AlertAfter, stalled, "see what it waits for: foundation-agent migrate status")
	lost := ""
	if err := w.rollout.store.Err(); err != nil {
		lost = err.Error()
	}
	a.set(w, alertNotDurable, step, 0, lost, "look at the disk, then: foundation-agent diagnostics run")
	drifted := ""
	if position > 0 {
		drifted = strings.Join(w.rollout.drift(), ", ")
	}
	a.set(w, alertDrifted, step, w.cfg.Interval, drifted,
		"see who changed them: foundation-agent flags list; then enable them again, or: foundation-agent migrate rollback")
}

// blind says which source of a guard cannot be read, "" where all can.
func blind(w *watch, position int, failed map[string]error) string {
	var found []string
	for name := range w.rollout.stages.guards(position) {
		source := w.cfg.Signals[w.cfg.Criteria[name].Signal].source()
		if err := failed[source]; err != nil {
			found = append(found, fmt.Sprintf("source %s: %v", source, err))
		}
	}
	slices.Sort(found)
	return strings.Join(slices.Compact(found), "; ")
}

// set raises an alert whose condition (why, "" where it does not hold) has held for a time, or ends it.
func (a *alerts) set(w *watch, name string, step, after time.Duration, why, todo string) {
	a.mu.Lock()
	if why == "" {
		delete(a.begun, name)
		delete(a.raised, name)
		a.mu.Unlock()
		return
	}
	a.begun[name] += step
	_, already := a.raised[name]
	due := a.begun[name] >= after
	if due {
		a.raised[name] = fmt.Sprintf("%s: %s; %s", name, why, todo)
	}
	a.mu.Unlock()
	if due && !already {
		stage := w.rollout.snapshot().Stage
		w.rollout.record(operator.MigrationEntry{
			Kind: kindAlert, From: stage, To: stage, Author: itself, Reason: name + ": " + why, Message: todo, Persisted: true,
		})
	}
}

// list is what needs a person now, sorted.
func (a *alerts) list() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Values(a.raised))
}

// states of all alerts by name: 1 raised, 0 not.
func (a *alerts) states() map[string]int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	states := map[string]int64{alertBlind: 0, alertStalled: 0, alertNotDurable: 0, alertDrifted: 0}
	for name := range a.raised {
		states[name] = 1
	}
	return states
}
