// This file rehearses a stage: on and off again under the load that is passing, with the account checked
// and the evidence kept. It is the checklist's tested rollback.

package migration

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// States of a rehearsal.
const (
	rehearsalRunning = "running"
	rehearsalPassed  = "passed"
	rehearsalFailed  = "failed"
)

const (
	maxRehearsal = 10 * time.Minute
	// accountPatience is how long the metrics may take to agree after the stage is off again.
	accountPatience = 10 * time.Second
	accountEvery    = 200 * time.Millisecond
	// accountTolerance is for weights that are fractions (random sampling).
	accountTolerance = 1e-6
)

// rehearse begins a rehearsal of the next stage, which goes on by itself; its state is in the status.
func (m *migration) rehearse(duration time.Duration, by flag.Author) (operator.Rehearsal, error) {
	if duration <= 0 || duration > maxRehearsal {
		return operator.Rehearsal{}, refuse(http.StatusBadRequest, "invalid_duration", fmt.Sprintf("duration is %s: allowed are up to %s", duration, maxRehearsal))
	}
	position := m.rollout.position()
	if position == len(m.rollout.stages) {
		return operator.Rehearsal{}, refuse(http.StatusConflict, "no_stage", "the last stage is on: there is none to rehearse")
	}
	next := m.rollout.stages[position]
	if c := m.checkBound(next); !c.OK {
		return operator.Rehearsal{}, refuse(http.StatusConflict, "not_ready", c.Detail)
	}
	ctx, done, err := m.rollout.take(m.running, "a rehearsal of stage "+next.ID)
	if err != nil {
		return operator.Rehearsal{}, err
	}
	r := &rehearsal{
		migration: m, position: position, duration: duration, by: by,
		Rehearsal: operator.Rehearsal{Stage: next.ID, State: rehearsalRunning, Started: time.Now().UTC(), Author: by.Name, Reason: by.Reason},
	}
	m.rollout.setRehearsal(r.Rehearsal)
	begun := r.Rehearsal
	m.tasks.Go(func() {
		defer done()
		r.run(ctx)
	})
	return begun, nil
}

// rehearsal is one under way. One goroutine runs it.
type rehearsal struct {
	*migration
	operator.Rehearsal
	position int
	duration time.Duration
	by       flag.Author
}

func (r *rehearsal) run(ctx context.Context) {
	before, err := r.account(ctx)
	r.step("account before", err, before.String())
	if err == nil {
		err = r.onAndOff(ctx)
	}
	if err == nil {
		r.checkAccount(ctx, before)
	}
	r.finish()
}

// step notes one thing done.
func (r *rehearsal) step(name string, err error, detail string) {
	s := operator.RehearsalStep{At: time.Now().UTC(), Name: name, OK: err == nil, Detail: detail}
	if err != nil {
		s.Detail = err.Error()
	}
	r.Steps = append(r.Steps, s)
	r.rollout.setRehearsal(r.Rehearsal)
}

// onAndOff switches the stage on, waits, and switches it off, whatever came in between.
func (r *rehearsal) onAndOff(ctx context.Context) error {
	names := r.rollout.stages.flags(r.position, r.position+1)
	t, err := r.rollout.begin(ctx, transition{Kind: kindRehearsal, From: r.rollout.stages.id(r.position), To: r.Stage, Author: r.by})
	if err != nil {
		r.step("intent stored", err, "")
		return err
	}
	_, err = r.rollout.flags.SetAll(set(names, true), r.by)
	r.step("stage on", err, fmt.Sprintf("%v", names))
	if err == nil {
		select {
		case <-ctx.Done():
			err = errors.New("cut short: a rollback or the end of the agent came first")
		case <-time.After(r.duration):
		}
		r.step("stage watched", err, r.duration.String())
	}
	if r.rollout.overtaken(t) {
		r.rollout.flags.EmergencyRollback(r.by)
		return errOvertaken
	}
	_, offErr := r.rollout.flags.SetAll(set(names, false), r.by)
	if offErr == nil && r.rollout.allOn(names) {
		offErr = errors.New("flags are still on")
	}
	r.rollout.drop()
	r.step("stage off and verified", offErr, fmt.Sprintf("%v", names))
	return errors.Join(err, offErr)
}

// checkAccount waits until what came in is what left, is held or was refused.
func (r *rehearsal) checkAccount(ctx context.Context, before account) {
	var after account
	var err error
	for deadline := time.Now().Add(accountPatience); ; {
		after, err = r.account(ctx)
		if err == nil {
			err = after.against(before)
		}
		if err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(accountEvery):
		}
	}
	r.step("account after", err, after.String())
}

func (r *rehearsal) finish() {
	now := time.Now().UTC()
	r.Finished, r.State = &now, rehearsalPassed
	failed := ""
	for _, s := range r.Steps {
		if !s.OK {
			r.State, failed = rehearsalFailed, s.Name+": "+s.Detail
			break
		}
	}
	r.rollout.setRehearsal(r.Rehearsal)
	r.rollout.record(operator.MigrationEntry{
		Kind: kindRehearsal, From: r.rollout.stages.id(r.position), To: r.Stage, Author: r.by.Name, Reason: r.by.Reason,
		Message: r.State + ": " + orElse(failed, fmt.Sprintf("%d steps", len(r.Steps))), Persisted: true,
	})
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// account is event_dedup's, over all rules: weights that came in, left, are held, were refused.
type account struct{ in, out, held, refused float64 }

// account reads it from the agent's own metrics. An agent without event_dedup has an empty one.
func (m *migration) account(ctx context.Context) (account, error) {
	families, err := m.own.Scrape(ctx)
	if err != nil {
		return account{}, fmt.Errorf("the agent's own metrics: %w", err)
	}
	return account{
		in: families.Sum("otelcol_event_dedup_in"), out: families.Sum("otelcol_event_dedup_out"),
		held: families.Sum("otelcol_event_dedup_held"), refused: families.Sum("otelcol_event_dedup_refused"),
	}, nil
}

// gap is what came in and is nowhere. After a restart it is not zero: what is held came in before.
func (a account) gap() float64 { return a.in - a.out - a.held - a.refused }

// against says whether anything was lost or doubled since before.
func (a account) against(before account) error {
	if d := a.gap() - before.gap(); math.Abs(d) > accountTolerance*max(1, a.in-before.in) {
		return fmt.Errorf("the account has a gap of %g events: %s", d, a)
	}
	return nil
}

func (a account) String() string {
	return fmt.Sprintf("in %g, out %g, held %g, refused %g", a.in, a.out, a.held, a.refused)
}

// setRehearsal keeps how a rehearsal is doing.
func (r *rollout) setRehearsal(now operator.Rehearsal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now.Steps = append([]operator.RehearsalStep(nil), now.Steps...)
	rehearsals := map[string]operator.Rehearsal{now.Stage: now}
	for stage, other := range r.st.Rehearsals {
		if stage != now.Stage {
			rehearsals[stage] = other
		}
	}
	r.st.Rehearsals, r.lastRehearsal = rehearsals, now.Stage // a new map: snapshots share the old one
	r.store.Put(map[string][]byte{stateKey: r.st.encode()})
}
