// This file answers where the rollout stands and why: GET /v1/migration.

package migration

import (
	"maps"
	"slices"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func (m *migration) status() operator.MigrationStatus {
	st := m.rollout.snapshot()
	position := m.rollout.position()
	sample, paused := m.watch.seen()
	s := operator.MigrationStatus{
		Stage:      st.Stage,
		Stages:     m.stageViews(position),
		Soak:       operator.MigrationSoak{Observed: st.Soak.Observed.Seconds(), Required: m.rollout.stages.soak(position).Seconds(), Samples: st.Soak.Samples, Paused: paused},
		Criteria:   m.watch.views(),
		Sources:    m.sourceViews(sample.Errors),
		Flags:      m.rollout.own(m.rollout.flags.States()),
		Drift:      m.rollout.drift(),
		Under:      m.rollout.underWay(),
		Cooldown:   m.cooldownLeft().Seconds(),
		Durable:    true,
		Baseline:   m.book.ReferenceName(),
		Alerts:     m.watch.alerts.list(),
		LastChange: m.rollout.lastEntry(),
		Collecting: m.book.Progress(),
		Rehearsal:  m.rollout.rehearsed(),
		At:         time.Now().UTC(),
		Sampled:    sample.At.UTC(),
		Versions:   st.Soak.Versions,
	}
	if position < len(m.rollout.stages) {
		s.Next = m.rollout.stages[position].ID
	}
	if !st.Soak.Started.IsZero() {
		started := st.Soak.Started.UTC()
		s.Soak.StartedAt = &started
	}
	if err := m.store.Err(); err != nil {
		s.Durable, s.StorageErr = false, err.Error()
	}
	if v := m.violations(); len(v.Places) > 0 {
		s.Violations = &v
	}
	return s
}

func (m *migration) stageViews(position int) []operator.MigrationStage {
	now := m.rollout.flags.States()
	views := make([]operator.MigrationStage, 0, len(m.rollout.stages))
	for i, s := range m.rollout.stages {
		on := 0
		for _, name := range s.Flags {
			if now[name] {
				on++
			}
		}
		state := "off"
		switch {
		case on == len(s.Flags) && i < position:
			state = "on"
		case on > 0 || i < position:
			state = "partly"
		}
		views = append(views, operator.MigrationStage{
			ID: s.ID, Name: s.Name, Description: s.Description, Risk: s.Risk, Flags: s.Flags,
			SoakRequired: m.rollout.stages.soak(i + 1).Seconds(), State: state,
		})
	}
	return views
}

func (m *migration) sourceViews(failed map[string]error) []operator.MigrationSource {
	used := m.usedSources(m.specs())
	views := make([]operator.MigrationSource, 0, len(used))
	for _, name := range used {
		v := operator.MigrationSource{Name: name, Type: m.cfg.sourceType(name), OK: failed[name] == nil}
		if !v.OK {
			v.Error = failed[name].Error()
		}
		views = append(views, v)
	}
	return views
}

// underWay is what is under way, "" nothing.
func (r *rollout) underWay() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.under
}

func (r *rollout) lastEntry() *operator.MigrationEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history.last()
}

// rehearsed is the rehearsal under way, or the last one.
func (r *rollout) rehearsed() *operator.Rehearsal {
	r.mu.Lock()
	defer r.mu.Unlock()
	stage := r.lastRehearsal
	if stage == "" { // of an earlier life: the latest
		for _, name := range slices.Sorted(maps.Keys(r.st.Rehearsals)) {
			if stage == "" || r.st.Rehearsals[name].Started.After(r.st.Rehearsals[stage].Started) {
				stage = name
			}
		}
	}
	last, ok := r.st.Rehearsals[stage]
	if !ok {
		return nil
	}
	return &last
}

func (r *rollout) entries(from, to time.Time) []operator.MigrationEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history.between(from, to)
}
