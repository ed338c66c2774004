// This file makes the stage whole again at the start, whatever the last life was doing when it ended.

package migration

import (
	"context"
	"fmt"
	"strings"

	"github.com/foundation-agent/foundation-agent/internal/flag"
)

// itself is the author of what the extension does without being asked.
const itself = "staged_migration"

// recoverState ends a transition that a crash has cut: an advance whose flags all changed has been made,
// any other is undone; a rollback is always made. Then the stage is held against the flags.
func (r *rollout) recoverState(ctx context.Context) error {
	pending := r.snapshot().Pending
	if pending == nil {
		r.reconcile(ctx)
		return nil
	}
	from, err := r.stages.position(pending.From)
	if err != nil {
		return err
	}
	to, err := r.stages.position(pending.To)
	if err != nil {
		return err
	}
	by := flag.Author{Name: itself, Reason: "the agent ended during: " + pending.Author.Reason}
	keep := from
	if pending.Kind == kindRollback || pending.Kind == kindAdvance && r.allOn(r.stages.flags(from, to)) {
		keep = to
	}
	if _, err := r.flags.SetAll(set(r.onAfter(keep), false), by); err != nil {
		return fmt.Errorf("ending a %s that was cut: %w", pending.Kind, err)
	}
	if keep != to {
		r.undo(ctx, *pending, "the agent ended before all flags of the stage were on: it is off")
	} else if _, err := r.commit(ctx, *pending, true, nil, "completed after a restart"); err != nil {
		return err
	}
	r.reconcile(ctx)
	return nil
}

func (r *rollout) allOn(names []string) bool {
	now := r.flags.States()
	for _, name := range names {
		if !now[name] {
			return false
		}
	}
	return true
}

// reconcile holds the stage against the flags: where somebody (or a lost store) has switched all of them
// off, no stage is on, and that is told.
func (r *rollout) reconcile(ctx context.Context) {
	if r.position() == 0 || !r.stages.allOff(r.flags.States()) {
		return
	}
	_, done, err := r.take(ctx, "a look at the flags")
	if err != nil {
		return // a transition is under way: it knows better
	}
	defer done()
	position := r.position()
	if position == 0 || !r.stages.allOff(r.flags.States()) {
		return
	}
	r.mu.Lock()
	t := transition{
		Kind: kindFoundOff, From: r.st.Stage, To: noStage, At: r.now(), seen: r.emergencies,
		Author: flag.Author{Name: itself, Reason: "all flags of the stages are off"},
	}
	r.mu.Unlock()
	_, _ = r.commit(ctx, t, true, nil, "the flags were switched off by other means: "+strings.Join(r.stages.flags(0, position), ", "))
}
