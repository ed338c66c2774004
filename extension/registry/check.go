// This file is the registry's self-check: it does its own work on a table of its own, where nobody
// watches, so that no real watcher, storage or count sees the synthetic agent.

package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// Budgets of the check: the users' targets, far above what is measured on a quiet machine.
const (
	lookupBudget = 5 * time.Millisecond
	writeBudget  = 50 * time.Millisecond
)

const syntheticID = "foundation.synthetic"

// selfCheck implements operator.Check.
type selfCheck struct {
	live *registry
	id   component.ID
}

// OperatorChecks implements operator.Checks.
func (x *agentRegistry) OperatorChecks() []operator.Check {
	return []operator.Check{selfCheck{x.registry, x.set.ID}}
}

// Name implements operator.Check.
func (c selfCheck) Name() string { return c.id.String() }

// Run implements operator.Check.
func (c selfCheck) Run(ctx context.Context) operator.CheckResult {
	scratch, err := newRegistry(c.live.cfg, zap.NewNop())
	if err != nil {
		return operator.CheckResult{Steps: []operator.CheckStep{{Name: "table", Detail: err.Error()}}}
	}
	self := caller{via: viaOperator, operator: true}
	result := operator.CheckResult{OK: true}
	step := func(name string, budget time.Duration, do func() error) {
		start := time.Now()
		err := do()
		s := operator.CheckStep{Name: name, Took: time.Since(start), Budget: budget, OK: err == nil}
		if err != nil {
			s.Detail = err.Error()
		}
		if budget > 0 && s.Took > budget {
			s.OK, s.Detail = false, "over budget"
		}
		result.Steps = append(result.Steps, s)
		result.OK = result.OK && s.OK
	}
	step("register", writeBudget, func() error {
		_, err := scratch.register(self, syntheticID, registration{PID: int32(os.Getpid()), Labels: map[string]string{"check": "1"}})
		return err
	})
	step("lookup", lookupBudget, func() error { _, err := scratch.Get(syntheticID); return err })
	step("not found", lookupBudget, func() error {
		if _, err := scratch.Get("nobody"); !errors.Is(err, agents.ErrNotFound) {
			return fmt.Errorf("an agent that is not registered was found (error: %w)", err)
		}
		return nil
	})
	step("query", lookupBudget, func() error {
		q := query{Where: []criterion{{Field: path{"labels", "check"}, Op: opEq, Value: "1"}}, Limit: 1}
		if found := find(scratch.all(), q); found.Total != 1 {
			return fmt.Errorf("%d agents found, 1 expected", found.Total)
		}
		return nil
	})
	step("heartbeat", writeBudget, func() error { _, err := scratch.heartbeat(self, syntheticID, beat{}); return err })
	step("unregister", writeBudget, func() error { return scratch.unregister(self, syntheticID, "check") })
	step("death told", writeBudget, func() error {
		if n := len(scratch.hub.downs(time.Now())); n != 1 {
			return fmt.Errorf("%d deaths told, 1 expected", n)
		}
		return nil
	})
	step("death watch", 0, func() error { return c.live.noPidfd })
	step("storage", 0, func() error { return c.live.durable(ctx) })
	return result
}
