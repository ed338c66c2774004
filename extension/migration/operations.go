// This file is what operators can ask for, held against the stage that is on.

package migration

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// advance switches the next stage on, when its preflight allows. force skips what time alone would mend.
func (m *migration) advance(ctx context.Context, expected string, force bool, by flag.Author) (operator.MigrationChange, error) {
	if force && by.Reason == "" {
		return operator.MigrationChange{}, refuse(http.StatusBadRequest, "reason_required", "to skip the soak takes a reason")
	}
	ctx, done, err := m.rollout.take(ctx, "an advance")
	if err != nil {
		return operator.MigrationChange{}, err
	}
	defer done()
	p := m.preflight(ctx)
	if expected != "" {
		if position, err := m.rollout.stages.position(expected); err != nil || position != m.rollout.position()+1 {
			return operator.MigrationChange{}, refuse(http.StatusConflict, "not_next", fmt.Sprintf("stage %q is not the next: that is %s", expected, p.Stage))
		}
	}
	forced := false
	for _, c := range p.Checks {
		switch {
		case c.OK || c.Advice:
		case force && c.Waits:
			forced = true
		default:
			return operator.MigrationChange{}, refusePreflight(p, force)
		}
	}
	return m.rollout.advance(ctx, by, forced, m.concerning())
}

// refusePreflight says what does not hold, and what may help.
func refusePreflight(p operator.Preflight, forced bool) error {
	var failed []string
	waits := true
	for _, c := range p.Checks {
		if !c.OK && !c.Advice {
			failed = append(failed, c.Name+": "+c.Detail)
			waits = waits && c.Waits
		}
	}
	message := fmt.Sprintf("preflight of stage %s: %s", p.Stage, strings.Join(failed, "; "))
	if waits && !forced {
		message += " (--force with a reason skips what only takes time)"
	}
	return &refusal{status: http.StatusConflict, answer: door.Error{Code: "preflight_failed", Message: message, Details: p}}
}

// concerning are the criteria of the stage that is left, as evidence.
func (m *migration) concerning() []operator.MigrationCriterion {
	return slices.DeleteFunc(m.watch.views(), func(c operator.MigrationCriterion) bool { return !c.Guards && !c.Exit })
}

// attest keeps a person's word for an item of the checklist.
func (m *migration) attest(item string, by flag.Author) error {
	if !slices.Contains(m.cfg.Preflight.Attestations, item) {
		return refuse(http.StatusBadRequest, "unknown_item", fmt.Sprintf("%q is no item of the checklist; there are %q", item, m.cfg.Preflight.Attestations))
	}
	m.rollout.attest(item, by)
	return nil
}

// rollBack goes to an earlier stage, by default the one before the present.
func (m *migration) rollBack(ctx context.Context, target *string, by flag.Author) (operator.MigrationChange, error) {
	ctx, done, err := m.rollout.take(ctx, "a rollback")
	if err != nil {
		return operator.MigrationChange{}, err
	}
	defer done()
	from := m.rollout.position()
	to := from - 1
	if target != nil {
		if to, err = m.rollout.stages.position(*target); err != nil {
			return operator.MigrationChange{}, refuse(http.StatusBadRequest, "unknown_stage", err.Error())
		}
	}
	switch {
	case from == 0:
		return operator.MigrationChange{}, refuse(http.StatusConflict, "no_stage", "no stage is on: there is nothing to roll back")
	case to >= from:
		return operator.MigrationChange{}, refuse(http.StatusConflict, "not_earlier",
			fmt.Sprintf("stage %s is on: name one before it, of %s", m.rollout.stages.id(from), m.rollout.stages.names()))
	}
	return m.rollout.rollback(ctx, to, by, "", nil)
}
