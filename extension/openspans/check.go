// This file is the self-check: the table does its work on a span that never leaves.

package openspans

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// check is the self-check of a table.
type check struct{ *openSpans }

// OperatorChecks are the extension's self-checks.
func (o *openSpans) OperatorChecks() []operator.Check { return []operator.Check{check{o}} }

// Name is the extension's id.
func (c check) Name() string { return c.set.ID.String() }

// checkAgent is whose spans the self-check opens. No agent can register under it: its id has a space.
const checkAgent = "self check"

// Budgets of the steps, on a machine that does other things too.
const (
	stepBudget   = time.Millisecond
	enrichBudget = 100 * time.Microsecond
	storeBudget  = time.Second
)

// Run opens a span and another inside it, puts a context around a log record, and ends them.
func (c check) Run(ctx context.Context) operator.CheckResult {
	s := spans.Sender{Agent: checkAgent, Process: fmt.Sprint(time.Now().UnixNano())}
	t := c.table
	var outer, inner spans.Ref
	steps := []struct {
		name   string
		budget time.Duration
		do     func() error
	}{
		{"start a span", stepBudget, func() (err error) { outer, err = t.synthetic(s, true); return err }},
		{"start a span inside it", stepBudget, func() (err error) {
			if inner, err = t.synthetic(s, true); err == nil && inner.ParentID != outer.SpanID {
				err = fmt.Errorf("its parent is %s, not %s", inner.ParentID, outer.SpanID)
			}
			return err
		}},
		{"give a log record the context", enrichBudget, func() error { return t.checkEnrichment(s) }},
		{"end both", stepBudget, func() error {
			for _, want := range []spans.Ref{inner, outer} {
				if got, err := t.synthetic(s, false); err != nil || got.SpanID != want.SpanID {
					return fmt.Errorf("ended %s, not %s: %w", got.SpanID, want.SpanID, err)
				}
			}
			return nil
		}},
		{"write to storage", storeBudget, func() error {
			if c.journal == nil {
				return nil
			}
			return c.journal.Sync(ctx)
		}},
	}
	result := operator.CheckResult{OK: true}
	for _, step := range steps {
		began := time.Now()
		err := step.do()
		done := operator.CheckStep{Name: step.name, OK: err == nil, Took: time.Since(began), Budget: step.budget}
		if err != nil {
			done.Detail = err.Error()
			result.OK = false
		}
		result.Steps = append(result.Steps, done)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.find(s); p != nil {
		t.bereave(p)
	}
	return result
}

// synthetic starts or ends a span that never leaves and is counted nowhere.
func (t *table) synthetic(s spans.Sender, starts bool) (spans.Ref, error) {
	in := spans.NewHalf()
	in.Span.SetName("self check")
	now := pcommon.NewTimestampFromTime(time.Now())
	if starts {
		in.Span.SetStartTimestamp(now)
	} else {
		in.Span.SetEndTimestamp(now)
	}
	h := readHalf(in.Span)
	h.shape, h.synthetic = shapeKeyOf(in), true
	t.mu.Lock()
	defer t.mu.Unlock()
	if starts {
		return t.start(s, &h)
	}
	return t.end(s, &h)
}

// checkEnrichment pushes a context, and looks whether a record gains it.
func (t *table) checkEnrichment(s spans.Sender) error {
	values := pcommon.NewMap()
	values.PutStr("error_context.check", "self")
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.push(t.processOf(s), values); err != nil {
		return err
	}
	record := plog.NewLogRecord()
	t.enrich(s, key{}, record)
	if _, ok := record.Attributes().Get("error_context.check"); !ok {
		return errors.New("the record did not gain it")
	}
	return t.pop(t.find(s))
}
