// Package flag is how components see feature flags: a handle, bound once at start and read on the
// hot path for the price of one atomic load. The feature_flags extension provides the handles.
package flag

// Handle is one boolean flag as a component sees it. Safe for concurrent use.
type Handle interface {
	// Name of the flag.
	Name() string
	// Enabled is one atomic load.
	Enabled() bool
	// OnChange calls fn after each change of Enabled, in order, outside locks, until stop is called.
	// When stop returns, fn is not running and will not be called again.
	OnChange(fn func(enabled bool)) (stop func())
}

// Provider is what the feature_flags extension offers to components.
type Provider interface {
	// Bind returns the handle of a boolean flag. A flag that is not defined, or is no boolean, is an
	// error that lists the flags that are. The extension remembers what is bound, for preflight.
	Bind(name string) (Handle, error)
}

// On is the handle of a component with no `flags:` configured: always enabled.
var On Handle = on{}

type on struct{}

func (on) Name() string                      { return "" }
func (on) Enabled() bool                     { return true }
func (on) OnChange(func(bool)) (stop func()) { return func() {} }

// Author is who changes a flag, and why. Both are kept with the change.
type Author struct {
	Name   string `json:"author"`
	Reason string `json:"reason"`
}

// Switch is what the feature_flags extension offers to the staged_migration extension and to operators.
type Switch interface {
	Provider
	// SetAll sets boolean flags by override in one atomic step: a reader sees none of it or all of it.
	// It refuses unknown flags and unmet dependencies before anything changes. persisted is false when
	// the change holds in memory but could not be stored.
	SetAll(changes map[string]bool, by Author) (persisted bool, err error)
	// EmergencyRollback sets every migration flag false in one atomic step, in memory first. It cannot fail.
	EmergencyRollback(by Author) (persisted bool)
	// States returns the present value of every boolean flag, read in one atomic step.
	States() map[string]bool
	// Bound returns the names of the flags that components have bound.
	Bound() []string
}
