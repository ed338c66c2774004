// This file pins what the operators' API answers where more than one part reads it: the extension
// that serves it, the operators' commands and the status page.

package operator

import (
	"strings"
	"time"
)

// Flag is one flag as GET /v1/flags ({"flags": [...]}) and GET /v1/flags/{name} show it.
type Flag struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Type        string   `json:"type"`  // boolean, string, integer, float, object
	State       string   `json:"state"` // ENABLED or DISABLED, as the file says
	Value       any      `json:"value"` // what holds now, for this host
	Variant     string   `json:"variant,omitempty"`
	Reason      string   `json:"reason,omitempty"` // as OpenFeature names it: STATIC, TARGETING_MATCH, SPLIT …
	Variants    []string `json:"variants,omitempty"`
	FileValue   any      `json:"file_value"`       // what would hold without the override
	Source      string   `json:"source,omitempty"` // the file that defines it
	Bound       bool     `json:"bound"`            // a component holds a handle of it
	Migration   bool     `json:"migration"`        // emergency rollback sets it false
	DependsOn   []string `json:"depends_on,omitempty"`

	Override *FlagOverride `json:"override,omitempty"`
}

// FlagOverride is what an operator (or the guard) set at run time over the file.
type FlagOverride struct {
	Kind      string    `json:"kind"` // value, variant or percentage
	Value     any       `json:"value"`
	Author    string    `json:"author"`
	Reason    string    `json:"reason,omitempty"`
	At        time.Time `json:"at"`
	MasksFile bool      `json:"masks_file"` // the file says otherwise
}

// FlagChange is what a mutation of flags answers: the flags as they are now, and whether the change was stored.
type FlagChange struct {
	Flags     []Flag `json:"flags"`
	Persisted bool   `json:"persisted"`
}

// APIVersion is the version in the paths of the operators' API.
const APIVersion = "v1"

// Status is what GET /v1/status answers.
type Status struct {
	Command       string            `json:"command"`
	Version       string            `json:"version"`
	API           string            `json:"api"`
	PID           int               `json:"pid"`
	UID           int               `json:"uid"`
	StartedAt     time.Time         `json:"started_at"`
	UptimeSeconds float64           `json:"uptime_seconds"`
	Healthy       bool              `json:"healthy"` // no component reports an error
	Serves        []string          `json:"serves"`  // extensions whose routes are served
	Components    []ComponentHealth `json:"components"`
}

// ComponentHealth is the last status that a component reported to the collector.
type ComponentHealth struct {
	Kind      string    `json:"kind"` // receiver, processor …
	ID        string    `json:"id"`
	Pipelines []string  `json:"pipelines,omitempty"`
	Status    string    `json:"status"` // OK, RecoverableError, PermanentError …
	Error     string    `json:"error,omitempty"`
	Since     time.Time `json:"since"`
}

// TableView is one table as GET /v1/tables ({"tables": [...]}) shows it.
type TableView struct {
	Name string `json:"name"`
	TableInfo
	Can []string `json:"can"` // what may be done with it: backup, rebuild, cleanup, ensure
}

// TableResult is what an operation did to one table.
type TableResult struct {
	Table   string        `json:"table"`
	Entries int64         `json:"entries"` // in the table afterwards; removed ones, for cleanup
	Took    time.Duration `json:"took_ns"`
	Changes []string      `json:"changes,omitempty"` // what a restore changed that the audit tells one by one
	Error   string        `json:"error,omitempty"`
}

// Diagnostics is what POST /v1/diagnostics/run answers.
type Diagnostics struct {
	OK     bool          `json:"ok"`
	At     time.Time     `json:"at"`
	Agent  string        `json:"agent"` // command and version
	Checks []CheckReport `json:"checks"`
	Tables []TableView   `json:"tables"`
	// What the agent has seen of itself lately, for pictures.
	Samples       []Sample       `json:"samples,omitempty"`
	Distributions []Distribution `json:"distributions,omitempty"`
}

// CheckReport is what one component's self-check found.
type CheckReport struct {
	Name string        `json:"name"`
	Took time.Duration `json:"took_ns"`
	CheckResult
}

// Sample is what control has seen of the agent at one moment, for pictures over time.
type Sample struct {
	At time.Time `json:"at"`
	// Bytes that each table held.
	Bytes map[string]int64 `json:"bytes"`
	// Rates in records a second since the sample before, by flow: logs_in, logs_out, spans_in, spans_out.
	// Absent where the agent's own metrics could not be read.
	Rates map[string]float64 `json:"rates,omitempty"`
}

// Distribution is one histogram of the agent's own metrics since its start.
type Distribution struct {
	Name    string   `json:"name"`
	Count   uint64   `json:"count"`
	Buckets []Bucket `json:"buckets"`
}

// Seconds reports whether the buckets' limits are seconds, which durations are unless their name says otherwise.
func (d Distribution) Seconds() bool {
	return strings.Contains(d.Name, "duration") && !strings.Contains(d.Name, "milliseconds")
}

// Bucket counts the observations up to a limit, and above the limit before it.
type Bucket struct {
	UpTo  float64 `json:"up_to"` // 0 for the last bucket, which has no limit
	Count uint64  `json:"count"`
}
