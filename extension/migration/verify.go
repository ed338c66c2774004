// This file looks at the whole agent: its self-checks, its violations, and what it is like against the
// baseline (verify), and what the next stage would do (preview).

package migration

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/baseline"
	"github.com/foundation-agent/foundation-agent/internal/enforcement"
	"github.com/foundation-agent/foundation-agent/internal/host"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// inspector is the control extension, which starts after this one.
func (m *migration) inspector() (operator.Inspector, error) {
	if m.cfg.Control == nil {
		return nil, refuse(http.StatusConflict, "no_control", "control: is not configured: this call looks at what components have registered with the control extension")
	}
	return host.Extension[operator.Inspector](m.host, "control", *m.cfg.Control)
}

// violations of all components together.
func (m *migration) violations() operator.ViolationSummary {
	all := operator.ViolationSummary{Kinds: map[string]int64{}, Offenders: []operator.ViolationSender{}, Places: []operator.ViolationPlace{}}
	inspector, err := m.inspector()
	if err != nil {
		return all
	}
	for _, table := range inspector.Tables() {
		reporter, ok := table.(enforcement.Reporter)
		if !ok {
			continue
		}
		v := reporter.Violations()
		all.Strict = all.Strict || v.Strict
		all.Total += v.Total
		for kind, n := range v.Kinds {
			all.Kinds[kind] += n
		}
		all.Offenders = append(all.Offenders, v.Offenders...)
		all.Places = append(all.Places, v.Places...)
	}
	slices.SortStableFunc(all.Offenders, func(a, b operator.ViolationSender) int { return cmp.Compare(b.Count, a.Count) })
	return all
}

// verify runs all self-checks and holds violations, criteria and the baseline against what is now.
func (m *migration) verify(ctx context.Context) (operator.Verification, error) {
	inspector, err := m.inspector()
	if err != nil {
		return operator.Verification{}, err
	}
	v := operator.Verification{Violations: m.violations(), Criteria: m.watch.views(), Problems: []string{}}
	if v.Diagnostics, err = inspector.RunChecks(ctx); err != nil {
		return v, err
	}
	for _, check := range v.Diagnostics.Checks {
		if !check.OK {
			v.Problems = append(v.Problems, "self-check of "+check.Name+" failed: "+failedSteps(check.Steps))
		}
	}
	v.Problems = append(v.Problems, m.offences(v.Violations)...)
	failing, _ := m.watch.failing(m.rollout.position())
	v.Problems = append(v.Problems, explain(failing)...)
	if drift := m.rollout.drift(); len(drift) > 0 {
		v.Problems = append(v.Problems, "flags are not as the stage wants them: "+strings.Join(drift, ", "))
	}
	if name := m.book.ReferenceName(); name != "" {
		comparison, err := m.book.Compare(ctx, name, baseline.Now)
		if err != nil {
			return v, err
		}
		v.Baseline = &comparison
		v.Problems = append(v.Problems, m.watch.criteria.worse(comparison, m.cfg.Baseline.MinSamples)...)
	}
	v.OK = len(v.Problems) == 0
	return v, nil
}

// worse says which thresholds against the baseline do not hold of the mean of what it is compared with, whatever
// stage they guard. What has too few samples on either side is not compared.
func (all criteria) worse(comparison operator.BaselineComparison, minSamples int) []string {
	rows := map[string]operator.BaselineDiff{}
	for _, row := range comparison.Rows {
		rows[row.Signal] = row
	}
	var problems []string
	for _, c := range all {
		row := rows[c.cfg.Signal]
		if !c.threshold.Relative() || row.A == nil || row.B == nil || min(row.A.Samples, row.B.Samples) < minSamples {
			continue
		}
		if limit := c.threshold.Limit(row.A.Mean); !c.threshold.Holds(row.B.Mean, limit) {
			problems = append(problems, fmt.Sprintf("against baseline %s: %s was %.6g %s on average in the last hour, the limit is %.6g (%s)",
				comparison.A, row.Signal, row.B.Mean, row.Unit, limit, c.threshold))
		}
	}
	return problems
}

func failedSteps(steps []operator.CheckStep) string {
	var failed []string
	for _, s := range steps {
		if !s.OK {
			failed = append(failed, s.Name+" ("+s.Detail+")")
		}
	}
	return strings.Join(failed, ", ")
}

// offences names who has sent what strict mode refuses, lately.
func (m *migration) offences(v operator.ViolationSummary) []string {
	var problems []string
	for _, o := range v.Offenders {
		if ago := time.Since(o.Last); ago <= m.cfg.ViolationWindow {
			problems = append(problems, fmt.Sprintf("%s sends %s records: %d so far, the last %s ago", o.Sender, o.Kind, o.Count, ago.Round(time.Second)))
		}
	}
	return problems
}

// preview collects what the next stage would do, from the dry runs of the components that its flags switch.
func (m *migration) preview(stage StageConfig) (operator.MigrationPreview, error) {
	inspector, err := m.inspector()
	if err != nil {
		return operator.MigrationPreview{}, err
	}
	p := operator.MigrationPreview{Stage: stage.ID, Flags: stage.Flags, Effects: []operator.Preview{}}
	told := map[string]bool{}
	for _, effect := range inspector.Previews() {
		if slices.Contains(stage.Flags, effect.Flag) {
			p.Effects = append(p.Effects, effect)
			told[effect.Flag] = true
		}
	}
	for _, name := range stage.Flags {
		if !told[name] {
			p.Silent = append(p.Silent, name)
		}
	}
	return p, nil
}
