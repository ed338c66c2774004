// This file pins what /v1/migration answers. Durations are in seconds.

package operator

import "time"

// MigrationStatus is what GET /v1/migration answers.
type MigrationStatus struct {
	Stage      string               `json:"stage"` // id of the last stage that is on; "none" before the first
	Next       string               `json:"next,omitempty"`
	Stages     []MigrationStage     `json:"stages"`
	Soak       MigrationSoak        `json:"soak"`
	Criteria   []MigrationCriterion `json:"criteria"`
	Sources    []MigrationSource    `json:"sources"`
	Flags      map[string]bool      `json:"flags"`           // of all stages
	Drift      []string             `json:"drift,omitempty"` // flags that are not as the stage wants them
	Under      string               `json:"under_way,omitempty"`
	Cooldown   float64              `json:"cooldown_seconds"`           // left of it
	Durable    bool                 `json:"durable"`                    // everything is stored
	StorageErr string               `json:"storage_error,omitempty"`    // why not
	Baseline   string               `json:"baseline,omitempty"`         // compared with
	Alerts     []string             `json:"alerts,omitempty"`           // what needs a person, each with the command to run
	LastChange *MigrationEntry      `json:"last_change,omitempty"`      // of the history
	Collecting *BaselineProgress    `json:"collecting,omitempty"`       // a baseline under way
	Rehearsal  *Rehearsal           `json:"rehearsal,omitempty"`        // under way, or the last
	Violations *ViolationSummary    `json:"violations,omitempty"`       // of enforcement
	At         time.Time            `json:"at"`                         // of this answer
	Sampled    time.Time            `json:"sampled_at"`                 // when all signals were last read and all criteria judged
	Versions   []string             `json:"service_versions,omitempty"` // that the soak is about
}

// MigrationStage is one stage as configured, and whether it is on.
type MigrationStage struct {
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	Description  string   `json:"description,omitempty"`
	Risk         string   `json:"risk,omitempty"`
	Flags        []string `json:"flags"`
	SoakRequired float64  `json:"soak_required_seconds"` // before the stage after it
	State        string   `json:"state"`                 // on, partly (drift) or off
}

// MigrationSoak is how long the present stage has been observed.
type MigrationSoak struct {
	Observed  float64    `json:"observed_seconds"`
	Required  float64    `json:"required_seconds"`
	Samples   int        `json:"samples"`
	Paused    string     `json:"paused,omitempty"` // why time does not count now
	StartedAt *time.Time `json:"started_at,omitempty"`
}

// MigrationCriterion is a verdict with what led to it.
type MigrationCriterion struct {
	Name      string    `json:"name"`
	Signal    string    `json:"signal"`
	Value     *float64  `json:"value,omitempty"`
	Limit     *float64  `json:"limit,omitempty"`
	Baseline  *float64  `json:"baseline,omitempty"` // for thresholds against it
	Unit      string    `json:"unit,omitempty"`
	Threshold string    `json:"threshold"`
	State     string    `json:"state"` // ok, pending, breached or missing
	Since     time.Time `json:"since"`
	Reason    string    `json:"reason,omitempty"`  // why there is no value
	Missing   string    `json:"missing,omitempty"` // the verdict on that
	Action    string    `json:"action"`
	Guards    bool      `json:"guards"` // a stage that is on lists it as its guard
	Exit      bool      `json:"exit"`   // the present stage lists it for its exit
}

// MigrationSource is a place that numbers are read from.
type MigrationSource struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// MigrationHistory is what GET /v1/migration/history answers: entries of a time (from, to), oldest first,
// the last ones where there are more than limit.
type MigrationHistory struct {
	Entries []MigrationEntry `json:"entries"`
}

// MigrationEntry is one entry of the history.
type MigrationEntry struct {
	Seq       uint64               `json:"seq"`
	At        time.Time            `json:"at"`
	Kind      string               `json:"kind"` // advance, rollback, emergency_rollback, rehearsal, alert …
	From      string               `json:"from,omitempty"`
	To        string               `json:"to,omitempty"`
	Author    string               `json:"author"`
	Reason    string               `json:"reason,omitempty"`
	Message   string               `json:"message,omitempty"`
	Forced    bool                 `json:"forced,omitempty"`
	Persisted bool                 `json:"persisted"`          // the flags were stored
	Soak      float64              `json:"soak_seconds"`       // observed in the stage that was left
	Criteria  []MigrationCriterion `json:"criteria,omitempty"` // the numbers that led to it
}

// MigrationChange is what a change of stage answers.
type MigrationChange struct {
	Stage     string          `json:"stage"`
	Flags     map[string]bool `json:"flags"`
	Persisted bool            `json:"persisted"`
	Verified  bool            `json:"verified"` // the flags were read back after the change
	Entry     MigrationEntry  `json:"entry"`
}

// Preflight is what GET /v1/migration/preflight answers.
type Preflight struct {
	Stage  string           `json:"stage"`
	OK     bool             `json:"ok"`
	Checks []PreflightCheck `json:"checks"`
}

// PreflightCheck is one item of the checklist.
type PreflightCheck struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	// Waits says that time alone will mend it: the only kind that --force skips.
	Waits bool `json:"waits,omitempty"`
	// Advice says that it does not hold a stage up.
	Advice bool `json:"advice,omitempty"`
}

// Rehearsal is a stage switched on and off under live load, and what the account said.
type Rehearsal struct {
	Stage    string          `json:"stage"`
	State    string          `json:"state"` // running, passed or failed
	Started  time.Time       `json:"started_at"`
	Finished *time.Time      `json:"finished_at,omitempty"`
	Author   string          `json:"author"`
	Reason   string          `json:"reason,omitempty"`
	Steps    []RehearsalStep `json:"steps"`
}

// RehearsalStep is one thing that a rehearsal did or checked.
type RehearsalStep struct {
	At     time.Time `json:"at"`
	Name   string    `json:"name"`
	OK     bool      `json:"ok"`
	Detail string    `json:"detail,omitempty"`
}

// ViolationSummary is what enforcement has counted since the start.
type ViolationSummary struct {
	Strict    bool              `json:"strict"` // refused rather than only counted
	Kinds     map[string]int64  `json:"kinds"`
	Total     int64             `json:"total"`
	Offenders []ViolationSender `json:"offenders"`
	Places    []ViolationPlace  `json:"places"`
}

// ViolationSender is one who sends what strict mode refuses.
type ViolationSender struct {
	Sender string    `json:"sender"`
	Kind   string    `json:"kind"`
	Count  int64     `json:"count"`
	Last   time.Time `json:"last"`
}

// ViolationPlace is how many one component has seen.
type ViolationPlace struct {
	Place   string `json:"place"`
	Refused int64  `json:"refused"`
	Marked  int64  `json:"marked"`
}

// Verification is what POST /v1/migration/verify answers.
type Verification struct {
	OK          bool                 `json:"ok"`
	Diagnostics Diagnostics          `json:"diagnostics"`
	Violations  ViolationSummary     `json:"violations"`
	Baseline    *BaselineComparison  `json:"baseline,omitempty"`
	Criteria    []MigrationCriterion `json:"criteria"`
	Problems    []string             `json:"problems"` // a sentence each; empty when OK
}

// Finalize is what GET /v1/migration/finalize answers: whether the flags may go, and which.
type Finalize struct {
	Ready     bool     `json:"ready"`
	Reason    string   `json:"reason,omitempty"` // why not yet
	Stable    float64  `json:"stable_seconds"`
	Required  float64  `json:"required_seconds"`
	Extension string   `json:"extension"` // this staged_migration extension's id
	FlagsID   string   `json:"flags_extension"`
	Flags     []string `json:"flags"`
}

// Copy is c with numbers of its own.
func (c MigrationCriterion) Copy() MigrationCriterion {
	for _, p := range []**float64{&c.Value, &c.Limit, &c.Baseline} {
		if *p != nil {
			n := **p
			*p = &n
		}
	}
	return c
}
