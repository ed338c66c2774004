// This file is the extension's self-check.

package flags

import (
	"context"
	"fmt"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/flagd"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

var _ operator.Checks = (*flagsExtension)(nil)

// OperatorChecks is one check: the definitions hold, the overrides are stored, every flag evaluates.
func (e *flagsExtension) OperatorChecks() []operator.Check { return []operator.Check{check{e}} }

type check struct{ e *flagsExtension }

// evaluationBudget is what one flag's evaluation may take.
const evaluationBudget = 5 * time.Millisecond

// Name is the extension's id.
func (c check) Name() string { return c.e.set.ID.String() }

// Run changes nothing.
func (c check) Run(context.Context) operator.CheckResult {
	steps := []operator.CheckStep{c.definitions(), c.overrides(), c.evaluation()}
	result := operator.CheckResult{OK: true, Steps: steps}
	for _, step := range steps {
		result.OK = result.OK && step.OK
	}
	return result
}

func (c check) definitions() operator.CheckStep {
	step := operator.CheckStep{Name: "definitions", OK: true, Detail: fmt.Sprintf("%d flags", len(c.e.state.Load().definitions.Flags))}
	if err := c.e.definitions.trouble(); err != nil {
		step.OK, step.Detail = false, err.Error()
	}
	return step
}

func (c check) overrides() operator.CheckStep {
	step := operator.CheckStep{Name: "overrides", OK: true, Detail: fmt.Sprintf("%d overrides", len(c.e.state.Load().overrides))}
	if durable, err := c.e.store.durable(); !durable && c.e.cfg.Storage != nil {
		step.OK, step.Detail = false, fmt.Sprintf("not stored: %v", err)
	}
	return step
}

func (c check) evaluation() operator.CheckStep {
	s := c.e.state.Load()
	host := flagd.KeyContext(c.e.cfg.HostKey)
	step := operator.CheckStep{Name: "evaluation of the slowest flag", OK: true, Budget: evaluationBudget}
	for _, f := range s.definitions.Flags {
		start := time.Now()
		r := s.evaluate(f, host, start)
		if took := time.Since(start); took > step.Took {
			step.Took, step.Detail = took, f.Key
		}
		if r.Error != nil {
			step.OK, step.Detail = false, r.Error.Error()
			return step
		}
	}
	step.OK = step.Took <= step.Budget
	return step
}
