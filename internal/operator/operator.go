// Package operator is how components and extensions show themselves at the operators' door (the
// control extension): routes, tables, self-checks.
package operator

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Routes is an extension with an API for operators. The control extension serves the routes of the
// extensions that its configuration names, and adds authentication and audit.
type Routes interface {
	OperatorRoutes() []Route
}

// Route is one call of the operators' API.
type Route struct {
	// Pattern of http.ServeMux, with its method: "POST /v1/flags/{name}/enable". Every method but GET
	// is a mutation: audited, and over TCP allowed only with a token.
	Pattern string
	Handler http.HandlerFunc
}

// Registrar is what the control extension offers to pipeline components, which it cannot find by
// itself: they register at start and call remove at shutdown.
type Registrar interface {
	RegisterTable(t Table) (remove func())
	RegisterCheck(c Check) (remove func())
	RegisterTap(t *Tap) (remove func())
	RegisterPreviewer(p Previewer) (remove func())
}

// Inspector is what the control extension offers to extensions that look at the whole agent
// (staged_migration: preview and verify). It may be used once pipelines run.
type Inspector interface {
	// Tables returns every registered table, by name.
	Tables() []Table
	// Previews returns what every table and component that can tells of its flags.
	Previews() []Preview
	// RunChecks runs the self-checks of these names, or all where none is given; an unknown name is an error.
	RunChecks(ctx context.Context, names ...string) (Diagnostics, error)
}

// Tables is an extension, served by the control extension, that has tables. It is asked once, when
// control starts, which is after the extension itself.
type Tables interface {
	OperatorTables() []Table
}

// Checks is an extension, served by the control extension, that checks itself.
type Checks interface {
	OperatorChecks() []Check
}

// Table is bounded state that an operator can look at. The optional interfaces below are what else
// may be done with it.
type Table interface {
	// Name is unique: the component's id and what the table holds ("event_dedup/keys").
	Name() string
	Info() TableInfo
}

// TableInfo describes a table at one moment.
type TableInfo struct {
	Entries    int64          `json:"entries"`
	Bytes      int64          `json:"bytes"` // estimate of memory held
	MaxEntries int64          `json:"max_entries,omitempty"`
	MaxBytes   int64          `json:"max_bytes,omitempty"`
	Persisted  bool           `json:"persisted"` // kept in a storage extension
	Detail     map[string]any `json:"detail,omitempty"`
}

// Backuper is a table that can be written out while it runs and read back.
type Backuper interface {
	// Backup writes a consistent image, and returns the longest time for which it kept the table's users
	// waiting at a stretch.
	Backup(ctx context.Context, w io.Writer) (longestPause time.Duration, err error)
	// Restore reads and checks an image without changing anything. CallerIn(ctx) tells who restores. It is also
	// asked when the table is registered, where a crash has cut a restore short.
	Restore(ctx context.Context, r io.Reader) (Restoration, error)
}

// Restoration is an image that has been read and checked.
type Restoration struct {
	// Apply takes the image in as a whole, and stores it: what it has answered survives kill -9. What is there
	// already stays: applied twice, it does what it does once. Suppression state comes back; weight that was
	// already delivered is not delivered again.
	Apply func() (entries int64, err error)
	// Undo takes out again what Apply has brought in, whether that failed or not: another table may have.
	Undo func() error
	// Changes, where set, are what Apply has changed and the audit tells one by one: "flag x: off -> on".
	Changes func() []string
}

// Rebuilder is a table whose indices can be made anew from its entries.
type Rebuilder interface {
	Rebuild(ctx context.Context) (entries int64, err error)
}

// Cleaner is a table from which stale entries can be removed at once.
type Cleaner interface {
	Cleanup(ctx context.Context) (removed int64, err error)
}

// Ensurer is a table that can be recreated when it is missing.
type Ensurer interface {
	Ensure(ctx context.Context) error
}

// Check is a self-check: a component does its own work with records marked synthetic.
type Check interface {
	// Name is the component's id.
	Name() string
	// Run ends soon after ctx does.
	Run(ctx context.Context) CheckResult
}

// CheckResult is what a self-check found.
type CheckResult struct {
	OK    bool        `json:"ok"`
	Steps []CheckStep `json:"steps"`
}

// CheckStep is one thing tried, how long it took, and the budget it is held against.
type CheckStep struct {
	Name   string        `json:"name"`
	OK     bool          `json:"ok"`
	Took   time.Duration `json:"took_ns"`
	Budget time.Duration `json:"budget_ns,omitempty"`
	Detail string        `json:"detail,omitempty"`
}
