// This file moves between stages. What is intended is stored first, then the flags change in one atomic
// step, then what holds is stored: a crash at any point leaves a stage wholly on or wholly off.

package migration

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/store"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// How long a change waits for the storage before it says that it could not be stored.
const (
	storePatience     = 5 * time.Second
	emergencyPatience = 200 * time.Millisecond
)

// teller is told of each entry of the history: the log, a metric and an event in the pipeline.
type teller interface {
	tell(e operator.MigrationEntry)
}

// rollout is the stage that is on, and how to another. Safe for concurrent use.
type rollout struct {
	stages   stages
	flags    flag.Switch
	store    *store.Store
	teller   teller
	now      func() time.Time
	onChange func() // after each change of stage, outside locks

	// turn is held by one transition at a time; never by an emergency rollback, which waits for nobody.
	turn chan struct{}

	mu            sync.Mutex
	st            state
	history       history
	under         string             // what is under way, "" nothing
	abort         context.CancelFunc // ends what is under way
	lastRehearsal string             // stage of the latest in this life
	emergencies   uint64             // so far: a transition that sees another count than at its begin gives up
}

func newRollout(s stages, flags flag.Switch, store *store.Store, st state, h history, t teller, now func() time.Time) *rollout {
	return &rollout{
		stages: s, flags: flags, store: store, teller: t, now: now, onChange: func() {},
		turn: make(chan struct{}, 1), st: st, history: h,
	}
}

// position counts the stages that are on.
func (r *rollout) position() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.positionLocked()
}

func (r *rollout) positionLocked() int {
	p, err := r.stages.position(r.st.Stage)
	if err != nil {
		panic(err) // checked at start
	}
	return p
}

// snapshot of the state.
func (r *rollout) snapshot() state {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.st
}

// take the turn for a transition, or say what is under way. ctx of the transition ends when an emergency
// rollback comes; done gives the turn back.
func (r *rollout) take(ctx context.Context, what string) (_ context.Context, done func(), err error) {
	select {
	case r.turn <- struct{}{}:
	default:
		r.mu.Lock()
		defer r.mu.Unlock()
		return nil, nil, refuse(http.StatusConflict, "under_way", r.under+" is under way: wait for it, or use emergency-rollback, which waits for nothing")
	}
	ctx, cancel := context.WithCancel(ctx)
	r.mu.Lock()
	r.under, r.abort = what, cancel
	r.mu.Unlock()
	return ctx, func() {
		cancel()
		r.mu.Lock()
		r.under, r.abort = "", nil
		r.mu.Unlock()
		<-r.turn
	}, nil
}

// takeFrom takes the turn even where something is under way: that is told to give up, and waited for, a while.
func (r *rollout) takeFrom(ctx context.Context, what string) (context.Context, func(), error) {
	for deadline := time.Now().Add(storePatience); ; {
		taken, done, err := r.take(ctx, what)
		if err == nil || time.Now().After(deadline) {
			return taken, done, err
		}
		r.mu.Lock()
		if r.abort != nil {
			r.abort()
		}
		r.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

// advance switches on the stage after the present one. The caller holds the turn and has done the preflight.
func (r *rollout) advance(ctx context.Context, by flag.Author, forced bool, evidence []operator.MigrationCriterion) (operator.MigrationChange, error) {
	from := r.position()
	to := from + 1
	t, err := r.begin(ctx, transition{Kind: kindAdvance, From: r.stages.id(from), To: r.stages.id(to), Author: by, Forced: forced})
	if err != nil {
		return operator.MigrationChange{}, refuse(http.StatusServiceUnavailable, "not_stored", "nothing was changed, because the intent could not be stored: "+err.Error())
	}
	names := r.stages.flags(from, to)
	persisted, err := r.flags.SetAll(set(names, true), by)
	switch {
	case r.overtaken(t):
		r.flags.EmergencyRollback(by) // it may have come before ours took effect
		return operator.MigrationChange{}, errOvertaken
	case err != nil:
		r.undo(ctx, t, "the flags refused: "+err.Error())
		return operator.MigrationChange{}, refuse(http.StatusConflict, "flags_refused", "nothing was changed, because the flags refused: "+err.Error())
	case !persisted:
		_, err := r.flags.SetAll(set(names, false), by)
		r.undo(ctx, t, "the flags could not be stored")
		return operator.MigrationChange{}, refuse(http.StatusServiceUnavailable, "not_stored", fmt.Sprintf("the flags were set back, because they could not be stored (%v)", errText(err)))
	}
	return r.commit(ctx, t, persisted, evidence, "")
}

// rollback switches off every stage after position to. It goes on when the storage fails, and says so.
// The caller holds the turn.
func (r *rollout) rollback(ctx context.Context, to int, by flag.Author, message string, evidence []operator.MigrationCriterion) (operator.MigrationChange, error) {
	from := r.position()
	// Going back does not depend on the disk: what could not be stored is told by Persisted.
	t, _ := r.begin(ctx, transition{Kind: kindRollback, From: r.stages.id(from), To: r.stages.id(to), Author: by})
	persisted, err := r.flags.SetAll(set(r.onAfter(to), false), by)
	if err != nil {
		r.drop()
		return operator.MigrationChange{}, refuse(http.StatusConflict, "flags_refused", "the flags refused: "+err.Error()+"; emergency-rollback cannot be refused")
	}
	return r.commit(ctx, t, persisted, evidence, message)
}

// onAfter are the flags of the stages after a position that are on now.
func (r *rollout) onAfter(position int) []string {
	now := r.flags.States()
	return slices.DeleteFunc(r.stages.flags(position, len(r.stages)), func(name string) bool { return !now[name] })
}

// begin stores what is intended. Where that fails, it is no longer intended.
func (r *rollout) begin(ctx context.Context, t transition) (transition, error) {
	r.mu.Lock()
	t.At, t.seen = r.now(), r.emergencies
	r.st.Pending = &t
	ticket := r.store.Put(map[string][]byte{stateKey: r.st.encode()})
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	if err := r.store.Wait(ctx, ticket); err != nil {
		r.drop()
		return t, err
	}
	return t, nil
}

// errOvertaken ends a transition that an emergency rollback has overtaken.
var errOvertaken = refuse(http.StatusConflict, "emergency_rollback", "an emergency rollback came in between: all stages are off")

func (r *rollout) overtaken(t transition) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.emergencies != t.seen
}

// drop forgets what was intended.
func (r *rollout) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.st.Pending = nil
	r.store.Put(map[string][]byte{stateKey: r.st.encode()})
}

// undo puts an advance that did not come to its end into the history.
func (r *rollout) undo(ctx context.Context, t transition, why string) {
	r.mu.Lock()
	r.st.Pending = nil
	e := operator.MigrationEntry{Kind: kindUndone, From: t.To, To: t.From, Author: t.Author.Name, Reason: t.Author.Reason, Message: why, Persisted: true}
	ticket := r.recordLocked(&e)
	r.mu.Unlock()
	r.settle(ctx, ticket, storePatience)
	r.teller.tell(e)
}

// commit stores that a transition has been made: a new stage, a new soak.
func (r *rollout) commit(ctx context.Context, t transition, persisted bool, evidence []operator.MigrationCriterion, message string) (operator.MigrationChange, error) {
	r.mu.Lock()
	if r.emergencies != t.seen {
		r.mu.Unlock()
		return operator.MigrationChange{}, errOvertaken
	}
	e := operator.MigrationEntry{
		Kind: t.Kind, From: t.From, To: t.To, Author: t.Author.Name, Reason: t.Author.Reason, Message: message,
		Forced: t.Forced, Persisted: persisted, Soak: r.st.Soak.Observed.Seconds(), Criteria: evidence,
	}
	r.st.Pending, r.st.Stage, r.st.Soak = nil, t.To, soak{Started: r.now()}
	if t.Kind != kindAdvance {
		r.st.LastRollback = r.now()
	}
	ticket := r.recordLocked(&e)
	r.mu.Unlock()

	patience := storePatience
	if t.Kind == kindEmergency {
		patience = emergencyPatience
	}
	stored := r.settle(ctx, ticket, patience)
	r.teller.tell(e)
	r.onChange()
	now := r.flags.States()
	return operator.MigrationChange{
		Stage: t.To, Flags: r.own(now), Persisted: persisted && stored, Entry: e,
		Verified: len(r.stages.drift(r.position(), now)) == 0,
	}, nil
}

// recordLocked adds an entry and has it stored with the state. r.mu is held.
func (r *rollout) recordLocked(e *operator.MigrationEntry) (ticket uint64) {
	e.At = r.now().UTC()
	values := map[string][]byte{}
	r.history.add(&r.st, e, values)
	values[stateKey] = r.st.encode()
	return r.store.Put(values)
}

// record adds an entry that goes with no change of stage, and tells it.
func (r *rollout) record(e operator.MigrationEntry) {
	r.mu.Lock()
	r.recordLocked(&e)
	r.mu.Unlock()
	r.teller.tell(e)
}

// settle waits until a write is done, a while.
func (r *rollout) settle(ctx context.Context, ticket uint64, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return r.store.Wait(ctx, ticket) == nil
}

// own are the flags of the stages among all.
func (r *rollout) own(all map[string]bool) map[string]bool {
	own := map[string]bool{}
	for _, name := range r.stages.flags(0, len(r.stages)) {
		own[name] = all[name]
	}
	return own
}

func errText(err error) string {
	if err == nil {
		return "all is as before"
	}
	return err.Error()
}
