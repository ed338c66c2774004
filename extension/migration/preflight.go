// This file is the checklist before a stage.

package migration

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

const (
	probeKey         = "probe"
	dashboardTimeout = 3 * time.Second
)

// preflight goes through the checklist of the stage after the present one.
func (m *migration) preflight(ctx context.Context) operator.Preflight {
	position := m.rollout.position()
	if position == len(m.rollout.stages) {
		return operator.Preflight{
			Stage:  m.rollout.stages.id(position),
			Checks: []operator.PreflightCheck{{Name: "next stage", Detail: "the last stage is on: there is none after it; see `foundation-agent migrate finalize`"}},
		}
	}
	next := m.rollout.stages[position]
	checks := slices.Concat([]operator.PreflightCheck{
		m.checkBound(next), m.checkStorage(ctx), m.checkDrift(), m.checkCooldown(), m.checkSoak(position), m.checkCriteria(position),
		m.checkRehearsed(next), m.checkBaseline(), m.checkRuntimes(),
	}, m.checkDashboards(ctx), m.checkAttested())
	p := operator.Preflight{Stage: next.ID, OK: true, Checks: checks}
	for _, c := range checks {
		p.OK = p.OK && (c.OK || c.Advice)
	}
	return p
}

func (m *migration) checkBound(next StageConfig) operator.PreflightCheck {
	bound := m.rollout.flags.Bound()
	var loose []string
	for _, name := range next.Flags {
		if !slices.Contains(bound, name) {
			loose = append(loose, name)
		}
	}
	if len(loose) > 0 {
		return operator.PreflightCheck{Name: "flags are bound", Detail: "no component reads " + strings.Join(loose, ", ") + ": setting it would change nothing; name the flags extension in the component (flags:)"}
	}
	return operator.PreflightCheck{Name: "flags are bound", OK: true, Detail: strings.Join(next.Flags, ", ")}
}

func (m *migration) checkStorage(ctx context.Context) operator.PreflightCheck {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	begun := time.Now()
	if err := m.store.Write(ctx, map[string][]byte{probeKey: []byte(begun.UTC().Format(time.RFC3339Nano))}); err != nil {
		return operator.PreflightCheck{Name: "storage works", Detail: err.Error()}
	}
	return operator.PreflightCheck{Name: "storage works", OK: true, Detail: fmt.Sprintf("written in %s", time.Since(begun).Round(time.Microsecond))}
}

func (m *migration) checkDrift() operator.PreflightCheck {
	if drift := m.rollout.stages.drift(m.rollout.position(), m.rollout.flags.States()); len(drift) > 0 {
		return operator.PreflightCheck{Name: "flags are as the stage wants them", Detail: strings.Join(drift, ", ") + " differ: enable or disable them, or roll back"}
	}
	return operator.PreflightCheck{Name: "flags are as the stage wants them", OK: true, Detail: "stage " + m.rollout.snapshot().Stage}
}

func (m *migration) checkCooldown() operator.PreflightCheck {
	if left := m.cooldownLeft(); left > 0 {
		return operator.PreflightCheck{Name: "no rollback lately", Detail: fmt.Sprintf("rolled back %s ago: wait another %s", (m.cfg.Cooldown - left).Round(time.Second), left.Round(time.Second))}
	}
	return operator.PreflightCheck{Name: "no rollback lately", OK: true, Detail: fmt.Sprintf("none in the last %s", m.cfg.Cooldown)}
}

// cooldownLeft is what is left of the time after a rollback in which no stage is advanced. A clock that
// was set back makes it no longer than configured.
func (m *migration) cooldownLeft() time.Duration {
	last := m.rollout.snapshot().LastRollback
	if last.IsZero() {
		return 0
	}
	return min(max(0, m.cfg.Cooldown-time.Since(last)), m.cfg.Cooldown)
}

func (m *migration) checkSoak(position int) operator.PreflightCheck {
	required := m.rollout.stages.soak(position)
	observed := m.rollout.snapshot().Soak.Observed
	c := operator.PreflightCheck{
		Name: "soak is over", OK: observed >= required, Waits: true,
		Detail: fmt.Sprintf("observed for %s of %s", observed.Round(time.Second), required),
	}
	if _, paused := m.watch.seen(); !c.OK && paused != "" {
		c.Detail += "; paused: " + paused
	}
	return c
}

func (m *migration) checkCriteria(position int) operator.PreflightCheck {
	failing, unseen := m.watch.failing(position)
	if len(failing) > 0 {
		return operator.PreflightCheck{Name: "criteria hold", Waits: unseen, Detail: strings.Join(explain(failing), "; ")}
	}
	return operator.PreflightCheck{Name: "criteria hold", OK: true, Detail: fmt.Sprintf("%d of this stage", len(m.rollout.stages.guards(position))+len(m.rollout.stages.exits(position)))}
}

func (m *migration) checkRehearsed(next StageConfig) operator.PreflightCheck {
	c := operator.PreflightCheck{Name: "rollback is rehearsed", Advice: !m.cfg.Preflight.RequireRehearsal}
	last, ok := m.rollout.snapshot().Rehearsals[next.ID]
	switch {
	case !ok:
		c.Detail = "not yet: foundation-agent migrate rehearse"
	case last.State != rehearsalPassed:
		c.Detail = "the last rehearsal " + last.State + ": foundation-agent migrate rehearse"
	default:
		c.OK, c.Detail = true, "by "+last.Author+" at "+last.Started.Format(time.RFC3339)
	}
	return c
}

func (m *migration) checkBaseline() operator.PreflightCheck {
	if name := m.book.ReferenceName(); name != "" {
		return operator.PreflightCheck{Name: "there is a baseline", OK: true, Advice: true, Detail: name}
	}
	return operator.PreflightCheck{Name: "there is a baseline", Advice: true, Detail: "none: foundation-agent baseline collect --duration 24h"}
}

func (m *migration) checkDashboards(ctx context.Context) []operator.PreflightCheck {
	ctx, cancel := context.WithTimeout(ctx, dashboardTimeout)
	defer cancel()
	checks := make([]operator.PreflightCheck, 0, len(m.cfg.Preflight.Dashboards))
	for _, url := range m.cfg.Preflight.Dashboards {
		c := operator.PreflightCheck{Name: "dashboard is reachable", OK: true, Detail: url}
		if err := httpGet(ctx, http.DefaultClient, url); err != nil {
			c.OK, c.Detail = false, err.Error()
		}
		checks = append(checks, c)
	}
	return checks
}

func (m *migration) checkAttested() []operator.PreflightCheck {
	checks := make([]operator.PreflightCheck, 0, len(m.cfg.Preflight.Attestations))
	attested := m.rollout.snapshot().Attested
	for _, item := range m.cfg.Preflight.Attestations {
		c := operator.PreflightCheck{Name: item, Advice: !m.cfg.Preflight.RequireAttestations}
		if a, ok := attested[item]; ok {
			c.OK, c.Detail = true, "attested by "+a.By+" at "+a.At.UTC().Format(time.RFC3339)
		} else {
			c.Detail = fmt.Sprintf("nobody has said so: foundation-agent preflight --attest %q", item)
		}
		checks = append(checks, c)
	}
	return checks
}

// checkRuntimes shows what runs here, by the registrations: versions are for people to judge.
func (m *migration) checkRuntimes() operator.PreflightCheck {
	versions := m.serviceVersions()
	if len(versions) == 0 {
		return operator.PreflightCheck{Name: "runtimes are known", Advice: true, Detail: "no registered agent tells its service.version"}
	}
	return operator.PreflightCheck{Name: "runtimes are known", OK: true, Advice: true, Detail: strings.Join(versions, ", ")}
}
