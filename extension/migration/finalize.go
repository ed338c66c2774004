// This file says whether the flags may be taken out of the configuration. The command edits the source
// files; the agent knows only the resolved one, which holds secrets.

package migration

import (
	"fmt"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func (m *migration) finalize() operator.Finalize {
	position := m.rollout.position()
	st := m.rollout.snapshot()
	f := operator.Finalize{
		Stable: st.Soak.Observed.Seconds(), Required: m.cfg.StableTime.Seconds(),
		Extension: m.set.ID.String(), FlagsID: m.cfg.Flags.String(), Flags: m.rollout.stages.flags(0, len(m.rollout.stages)),
	}
	failing, _ := m.watch.failing(position)
	switch {
	case position < len(m.rollout.stages):
		f.Reason = fmt.Sprintf("stage %s is the last that is on: all stages up to %s must be", st.Stage, m.rollout.stages.id(len(m.rollout.stages)))
	case st.Soak.Observed < m.cfg.StableTime:
		f.Reason = fmt.Sprintf("the last stage has been observed for %s of %s", seconds(f.Stable), m.cfg.StableTime)
	case len(m.rollout.drift()) > 0:
		f.Reason = fmt.Sprintf("flags are not as the stage wants them: %v", m.rollout.drift())
	case len(failing) > 0:
		f.Reason = fmt.Sprintf("criteria do not hold: %v", explain(failing))
	default:
		f.Ready = true
	}
	return f
}
