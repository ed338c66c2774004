// This file is the overrides as a table that operators back up and restore. A restore is a change like any other:
// told flag by flag, with who restored and why.

package flags

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// overridesTable is the overrides as operators see tables.
type overridesTable struct{ *flagsExtension }

var (
	_ operator.Tables   = (*flagsExtension)(nil)
	_ operator.Backuper = overridesTable{}
)

// OperatorTables implements operator.Tables.
func (e *flagsExtension) OperatorTables() []operator.Table {
	return []operator.Table{overridesTable{e}}
}

// Name implements operator.Table.
func (t overridesTable) Name() string { return t.set.ID.String() + "/overrides" }

// Info implements operator.Table.
func (t overridesTable) Info() operator.TableInfo {
	overrides := t.state.Load().overrides
	raw, err := encodeOverrides(overrides)
	durable, failed := t.store.durable()
	info := operator.TableInfo{Entries: int64(len(overrides)), Bytes: int64(len(raw)), Persisted: durable}
	if err := errors.Join(err, failed); err != nil {
		info.Detail = map[string]any{"not_durable": err.Error()}
	}
	return info
}

// Backup implements operator.Backuper. The image is what is stored; nobody waits for it.
func (t overridesTable) Backup(_ context.Context, w io.Writer) (longestPause time.Duration, err error) {
	raw, err := encodeOverrides(t.state.Load().overrides)
	if err != nil {
		return 0, err
	}
	_, err = w.Write(raw)
	return 0, err
}

// Restore implements operator.Backuper. Applying it makes the overrides those of the backup in one change of the
// caller's. Those that say the same already stay as they are, with their author.
func (t overridesTable) Restore(ctx context.Context, r io.Reader) (operator.Restoration, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return operator.Restoration{}, err
	}
	wanted, err := decodeOverrides(raw)
	if err != nil {
		return operator.Restoration{}, err
	}
	caller, _ := operator.CallerIn(ctx)
	by := caller.Author()
	by.Reason = "restore of a backup: " + by.Reason
	restore := func(s *state, at time.Time) (map[string]*override, error) { return s.restored(wanted, by, at) }
	var from, to *state
	return operator.Restoration{
		Apply: func() (int64, error) {
			from = t.state.Load()
			var persisted bool
			to, persisted, err = t.change(causeRestore, by, restore)
			if err == nil && !persisted && t.cfg.Storage != nil {
				err = errors.New("the overrides could not be stored")
			}
			return int64(len(wanted)), err
		},
		Undo: func() error {
			_, _, err := t.change(causeRestore, flag.Author{Name: by.Name, Reason: "undone: " + by.Reason},
				func(s *state, _ time.Time) (map[string]*override, error) { return s.overriddenBy(from.overrides), nil })
			return err
		},
		Changes: func() []string { return changesBetween(from, to) },
	}, t.try(restore, by)
}

// try refuses an edit that could not be made now.
func (e *flagsExtension) try(edit edit, by flag.Author) error {
	at := now()
	s := e.state.Load()
	changes, err := edit(s, at)
	if err != nil {
		return err
	}
	e.mu.Lock() // e.host is used under it
	defer e.mu.Unlock()
	_, err = e.withDependants(s, changes, by, at)
	return err
}

// restored are the changes that make the overrides the wanted ones, each by the one who restores.
func (s *state) restored(wanted map[string]override, by flag.Author, at time.Time) (map[string]*override, error) {
	changes := s.overriddenBy(wanted)
	for name, o := range changes {
		if o == nil {
			continue
		}
		f, err := s.find(name)
		if err != nil {
			return nil, err
		}
		if _, fits := o.resolve(f, ""); !fits || !(o.Percentage >= 0 && o.Percentage <= 100) {
			return nil, invalid(fmt.Errorf("override of %q: %s %v does not fit its definition", name, o.Kind, o.shown()))
		}
		o.By, o.At = by, at
	}
	return changes, nil
}

// overriddenBy are the changes that make the overrides the wanted ones.
func (s *state) overriddenBy(wanted map[string]override) map[string]*override {
	changes := map[string]*override{}
	for name := range s.overrides {
		if _, stays := wanted[name]; !stays {
			changes[name] = nil
		}
	}
	for name, o := range wanted {
		if is, there := s.overrides[name]; !there || !is.says(o) {
			changes[name] = &o
		}
	}
	return changes
}

// says reports whether two overrides set a flag to the same.
func (o override) says(other override) bool {
	return o.Kind == other.Kind && o.Variant == other.Variant && o.Percentage == other.Percentage &&
		bytes.Equal(o.Value, other.Value)
}

// changesBetween says which flags changed from what to what.
func changesBetween(from, to *state) (changes []string) {
	for _, f := range to.definitions.Flags {
		if differs(from, to, f.Key) {
			changes = append(changes, fmt.Sprintf("flag %s: %s -> %s", f.Key, textOf(from.resolved[f.Key]), textOf(to.resolved[f.Key])))
		}
	}
	return changes
}
