// This file is what operators can ask for, held against the stage that is on.

package migration

import (
	"context"
	"fmt"
	"net/http"

	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

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
