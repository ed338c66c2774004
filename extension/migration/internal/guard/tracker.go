// This file follows one criterion through time: ok, pending, breached, missing.

package guard

import "time"

// State of a criterion.
type State string

// States, in the words of alerting rules: pending is broken but not yet for long enough.
const (
	OK       State = "ok"
	Pending  State = "pending"
	Breached State = "breached"
	Missing  State = "missing"
)

// Value is one reading of a signal: a number, or why there is none.
type Value struct {
	Number float64
	OK     bool
	Reason string // why there is no number
}

// Known is a value that was read.
func Known(n float64) Value { return Value{Number: n, OK: true} }

// Unknown is a value that could not be read, and why.
func Unknown(reason string) Value { return Value{Reason: reason} }

// Rule is what a Tracker judges by.
type Rule struct {
	Threshold Threshold
	// For and KeepFiringFor are those of a Prometheus alerting rule, counted in observed time.
	For, KeepFiringFor time.Duration
	Missing            Verdict
}

// Tracker judges a sequence of values. Not safe for concurrent use.
type Tracker struct {
	rule   Rule
	state  State
	since  time.Time
	broken time.Duration // observed time that the threshold has been broken, without a good value between
	held   time.Duration // observed time that it has held again, while breached
}

// NewTracker returns a tracker that has seen nothing yet.
func NewTracker(rule Rule) *Tracker { return &Tracker{rule: rule, state: Missing} }

// State is the verdict on the last value, and since when it stands.
func (t *Tracker) State() (State, time.Time) { return t.state, t.since }

// Holds reports whether the criterion is satisfied: it is ok, or nothing is known and that may pass.
func (t *Tracker) Holds() bool {
	return t.state == OK || t.state == Missing && t.rule.Missing == Pass
}

// Reset forgets what was seen, as when a stage has changed and what was measured before no longer speaks.
func (t *Tracker) Reset() { *t = Tracker{rule: t.rule, state: Missing} }

// Observe judges a value read at now. step is the observed time since the value before: zero where time
// passed unwatched. limit is the threshold's for this moment.
func (t *Tracker) Observe(now time.Time, step time.Duration, v Value, limit float64) State {
	switch {
	case v.OK && t.rule.Threshold.Holds(v.Number, limit):
		t.good(now, step)
	case v.OK, t.rule.Missing == Breach:
		t.bad(now, step)
	default:
		t.missing(now)
	}
	return t.state
}

func (t *Tracker) bad(now time.Time, step time.Duration) {
	t.held = 0
	if t.state == Breached {
		return
	}
	if t.state == Pending {
		t.broken += step
	} else {
		t.broken = 0
		t.become(Pending, now)
	}
	if t.broken >= t.rule.For {
		t.state = Breached // since when it was first broken
	}
}

func (t *Tracker) good(now time.Time, step time.Duration) {
	t.broken = 0
	if t.state == Breached {
		if t.held += step; t.held < t.rule.KeepFiringFor {
			return
		}
	}
	t.held = 0
	t.become(OK, now)
}

// missing keeps a breach standing: what is not seen has not recovered.
func (t *Tracker) missing(now time.Time) {
	t.broken = 0
	if t.state != Breached {
		t.become(Missing, now)
	}
}

func (t *Tracker) become(s State, now time.Time) {
	if t.state != s || t.since.IsZero() {
		t.state, t.since = s, now
	}
}
