// This file pins what /v1/baseline and /v1/migration/report answer. Durations are in seconds.

package operator

import "time"

// Baseline is what signals were like over a time.
type Baseline struct {
	Name     string                    `json:"name"`
	State    string                    `json:"state"` // collecting, complete, too_small or stopped
	Started  time.Time                 `json:"started_at"`
	Finished *time.Time                `json:"finished_at,omitempty"`
	Duration float64                   `json:"duration_seconds"` // observed
	Wanted   float64                   `json:"wanted_seconds"`
	Samples  int                       `json:"samples"`
	Author   string                    `json:"author"`
	Stage    string                    `json:"stage"` // that was on when it began
	Versions []string                  `json:"service_versions,omitempty"`
	Signals  map[string]BaselineSignal `json:"signals,omitempty"`
	Message  string                    `json:"message,omitempty"`
}

// BaselineSignal is what one signal was like.
type BaselineSignal struct {
	Unit    string        `json:"unit"`
	Overall BaselineStats `json:"overall"`
	// Observed is what the histogram behind the signal observed in all, where there is one.
	Observed *BaselineStats `json:"observed,omitempty"`
	// Hours of the day (UTC) that were seen.
	Hours map[int]BaselineStats `json:"hours,omitempty"`
}

// BaselineStats sums up samples, or the observations of a histogram.
type BaselineStats struct {
	Samples int     `json:"samples"`
	Mean    float64 `json:"mean"`
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
	P50     float64 `json:"p50"`
	P95     float64 `json:"p95"`
	P99     float64 `json:"p99"`
}

// BaselineProgress is a collection under way.
type BaselineProgress struct {
	Name     string  `json:"name"`
	Observed float64 `json:"observed_seconds"`
	Wanted   float64 `json:"wanted_seconds"`
	Samples  int     `json:"samples"`
}

// BaselineComparison holds two baselines, or a baseline and now, beside each other.
type BaselineComparison struct {
	A    string         `json:"a"`
	B    string         `json:"b"`
	Rows []BaselineDiff `json:"rows"`
}

// BaselineDiff is one signal in both. Change is (B-A)/A; absent where A is zero or one of them unknown.
type BaselineDiff struct {
	Signal string         `json:"signal"`
	Unit   string         `json:"unit"`
	A      *BaselineStats `json:"a,omitempty"`
	B      *BaselineStats `json:"b,omitempty"`
	Change *float64       `json:"change,omitempty"`
	// Hours says that only the same hours of the day were compared.
	Hours []int `json:"hours,omitempty"`
}

// MigrationReport is what GET /v1/migration/report answers.
type MigrationReport struct {
	From    time.Time          `json:"from"`
	To      time.Time          `json:"to"`
	Stages  []ReportStage      `json:"stages"` // in time: which stage was on, from when to when
	History []MigrationEntry   `json:"history"`
	Signals []ReportSignal     `json:"signals"`
	Changes []ReportTransition `json:"changes"`
}

// ReportStage is a time in which a stage was the last that was on.
type ReportStage struct {
	Stage string    `json:"stage"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Left  string    `json:"left,omitempty"` // by what it ended: advance, rollback …
}

// ReportSignal is a signal over the time of a report.
type ReportSignal struct {
	Name   string        `json:"name"`
	Unit   string        `json:"unit"`
	Points []ReportPoint `json:"points"`
}

// ReportPoint is the mean of a signal over one resolution.
type ReportPoint struct {
	At    time.Time `json:"at"`
	Value float64   `json:"value"`
}

// ReportTransition is a change of stage with the signals before and after it.
type ReportTransition struct {
	Entry   MigrationEntry         `json:"entry"`
	Signals []ReportBeforeAndAfter `json:"signals"`
}

// ReportBeforeAndAfter is the mean of a signal in the hour before and after a change, as far as another
// change left it one.
type ReportBeforeAndAfter struct {
	Signal string   `json:"signal"`
	Unit   string   `json:"unit"`
	Before *float64 `json:"before,omitempty"`
	After  *float64 `json:"after,omitempty"`
}
