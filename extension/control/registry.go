// This file is the Registrar: the tables, self-checks and taps that components and extensions show.

package control

import (
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

type registry struct {
	logger *zap.Logger

	mu     sync.RWMutex
	tables map[string]operator.Table
	checks map[string]operator.Check
	taps   map[string]*operator.Tap

	previewers map[string]operator.Previewer // that are no tables
}

func newRegistry(logger *zap.Logger) *registry {
	return &registry{
		logger: logger,
		tables: map[string]operator.Table{},
		checks: map[string]operator.Check{},
		taps:   map[string]*operator.Tap{},

		previewers: map[string]operator.Previewer{},
	}
}

func (r *registry) addTable(t operator.Table) (remove func()) {
	return add(r, r.tables, "table", t)
}

func (r *registry) addCheck(c operator.Check) (remove func()) {
	return add(r, r.checks, "check", c)
}

func (r *registry) addTap(t *operator.Tap) (remove func()) {
	return add(r, r.taps, "tap", t)
}

func (r *registry) addPreviewer(p operator.Previewer) (remove func()) {
	return add(r, r.previewers, "previewer", p)
}

// named is what tables, checks, taps and previewers have in common.
type named interface{ Name() string }

func add[T named](r *registry, all map[string]T, kind string, entry T) (remove func()) {
	name := entry.Name()
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := all[name]; taken {
		r.logger.Error("Two components show one name; the later is shown", zap.String("kind", kind), zap.String("name", name))
	}
	all[name] = entry
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if any(all[name]) == any(entry) {
			delete(all, name)
		}
	}
}

// listTables returns the tables by name.
func (r *registry) listTables() []operator.Table { return list(r, r.tables) }

// listChecks returns the checks by name.
func (r *registry) listChecks() []operator.Check { return list(r, r.checks) }

// listTaps returns the taps by name.
func (r *registry) listTaps() []*operator.Tap { return list(r, r.taps) }

// previews asks every previewer, also those that are tables.
func (r *registry) previews() []operator.Preview {
	previewers := list(r, r.previewers)
	for _, table := range r.listTables() {
		if p, ok := table.(operator.Previewer); ok {
			previewers = append(previewers, p)
		}
	}
	var all []operator.Preview
	for _, p := range previewers {
		all = append(all, p.Previews()...)
	}
	return all
}

func list[T named](r *registry, all map[string]T) []T {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]T, 0, len(all))
	for _, entry := range all {
		out = append(out, entry)
	}
	slices.SortFunc(out, func(a, b T) int { return strings.Compare(a.Name(), b.Name()) })
	return out
}
