// This file changes flags: one change at a time, each installed in one atomic step.

package flags

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

// Causes of changes.
const (
	causeOverride    = "override"
	causeDefinitions = "definitions"
	causeEmergency   = "emergency_rollback"
	causeRestore     = "restore" // of a backup
	causeTime        = "time"    // a rule reads the time
)

// edit says what to change in a state. A nil override takes the present one away.
type edit func(s *state, now time.Time) (map[string]*override, error)

// change applies an edit with what depends on it, in memory first, and then stores it.
func (e *flagsExtension) change(cause string, by flag.Author, edit edit) (n *state, persisted bool, err error) {
	n, err = e.changeInMemory(cause, by, edit)
	if err != nil {
		return nil, false, err
	}
	return n, e.store.save(n), nil
}

func (e *flagsExtension) changeInMemory(cause string, by flag.Author, edit edit) (*state, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := now()
	s := e.state.Load()
	changes, err := edit(s, at)
	if err != nil {
		return nil, err
	}
	n, err := e.withDependants(s, changes, by, at)
	if err != nil {
		return nil, err
	}
	e.install(s, n, cause, by)
	return n, nil
}

// install makes n the present state. mu is held.
func (e *flagsExtension) install(s, n *state, cause string, by flag.Author) {
	e.state.Store(n)
	e.dispatcher.put(transition{from: s, to: n, cause: cause, by: by})
}

// find returns the flag, or an error that lists those that exist.
func (s *state) find(name string) (*flagd.Flag, error) {
	if f, ok := s.definitions.Flag(name); ok {
		return f, nil
	}
	return nil, unknownFlag(name, s)
}

// requireBoolean refuses a name that is not that of a boolean flag.
func (s *state) requireBoolean(name string) error {
	f, err := s.find(name)
	if err != nil {
		return err
	}
	if f.Type != flagd.Boolean {
		return invalid(fmt.Errorf("flag %q is of type %s, not boolean: set it to one of its variants (%s)",
			name, f.Type, strings.Join(f.VariantNames(), ", ")))
	}
	return nil
}

// SetAll sets boolean flags in one atomic step.
func (e *flagsExtension) SetAll(values map[string]bool, by flag.Author) (persisted bool, err error) {
	_, persisted, err = e.change(causeOverride, by, func(s *state, at time.Time) (map[string]*override, error) {
		changes := make(map[string]*override, len(values))
		for name, on := range values {
			if err := s.requireBoolean(name); err != nil {
				return nil, err
			}
			changes[name] = setBoolean(on, by, at)
		}
		return changes, nil
	})
	return persisted, err
}

// EmergencyRollback sets every migration flag false in one atomic step, in memory first.
func (e *flagsExtension) EmergencyRollback(by flag.Author) (persisted bool) {
	_, persisted = e.rollback(by)
	return persisted
}

func (e *flagsExtension) rollback(by flag.Author) (*state, bool) {
	n, persisted, _ := e.change(causeEmergency, by, func(s *state, at time.Time) (map[string]*override, error) {
		return migrationsOff(s.definitions, by, at), nil
	}) // nothing is turned on, so nothing is refused
	return n, persisted
}

// migrationsOff sets every migration flag false.
func migrationsOff(definitions *flagd.Set, by flag.Author, at time.Time) map[string]*override {
	changes := map[string]*override{}
	for _, f := range definitions.Flags {
		if isMigration(f) {
			changes[f.Key] = setBoolean(false, by, at)
		}
	}
	return changes
}

// States returns the present value of every boolean flag.
func (e *flagsExtension) States() map[string]bool { return e.state.Load().booleans() }

// setVariant sets a flag to one of its variants.
func (e *flagsExtension) setVariant(name, variant string, by flag.Author) (*state, bool, error) {
	return e.change(causeOverride, by, func(s *state, at time.Time) (map[string]*override, error) {
		f, err := s.find(name)
		if err != nil {
			return nil, err
		}
		o, err := setToVariant(f, variant, by, at)
		return map[string]*override{name: o}, err
	})
}

// setValue sets a flag to a value of its type, or to the variant of that name.
func (e *flagsExtension) setValue(name string, asked json.RawMessage, by flag.Author) (*state, bool, error) {
	return e.change(causeOverride, by, func(s *state, at time.Time) (map[string]*override, error) {
		f, err := s.find(name)
		if err != nil {
			return nil, err
		}
		o, err := setTo(f, asked, by, at)
		return map[string]*override{name: o}, err
	})
}

// setShare turns a flag on for a percentage of targeting keys.
func (e *flagsExtension) setShare(name string, percentage float64, by flag.Author) (*state, bool, error) {
	return e.change(causeOverride, by, func(s *state, at time.Time) (map[string]*override, error) {
		if err := s.requireBoolean(name); err != nil {
			return nil, err
		}
		o, err := setPercentage(percentage, by, at)
		return map[string]*override{name: o}, err
	})
}

// reset takes the override of a flag away: its definition holds.
func (e *flagsExtension) reset(name string, by flag.Author) (*state, bool, error) {
	return e.change(causeOverride, by, func(s *state, _ time.Time) (map[string]*override, error) {
		if _, overridden := s.overrides[name]; overridden {
			return map[string]*override{name: nil}, nil // also of a flag that is defined no more
		}
		_, err := s.find(name)
		return map[string]*override{}, err
	})
}

// resetAll takes all overrides away.
func (e *flagsExtension) resetAll(by flag.Author) (*state, bool) {
	e.mu.Lock()
	s := e.state.Load()
	n := s.next(s.definitions, map[string]override{}, e.host, e.bound, now())
	e.install(s, n, causeOverride, by)
	e.mu.Unlock()
	return n, e.store.save(n)
}
