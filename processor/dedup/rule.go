// This file is a rule at work: which records it takes, and what it does with them.

package dedup

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/gobwas/glob"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottllog"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// emitMode is what leaves of a window.
type emitMode uint8

const (
	emitEach emitMode = iota // no dedup step
	emitModeFirstAndSummary
	emitModeFirst
	emitModeSummary
)

// rule is one of the configured rules.
type rule struct {
	name  string
	index uint16
	id    uint64 // of the name: what stored state knows the rule by

	events     []glob.Glob
	bodies     []*regexp.Regexp
	conditions *ottl.ConditionSequence[*ottllog.TransformContext]

	emit         emitMode
	window       uint32 // ms
	exAttributes *excluded
	exBody       *excluded
	sampler      sampler    // nil: all are kept
	reservoir    *reservoir // in place of a sampler
	maxWait      uint32     // ms, of dropped weight
	batchSize    uint32     // 0: no batch step
	batchTimeout uint32     // ms
	caller       bool
	limitWindow  uint32 // ms
	limitSize    uint32
	limitTimeout uint32 // ms
	dryRun       bool
	dropsToCarry bool // something is dropped whose weight rides on what passes
	stats        ruleStats
}

// ruleNames are hashed with a key of their own: stored state must find its rule whatever the secret is.
var ruleNames = secret([]byte("the names of event_dedup's rules"))

func ruleID(name string) uint64 {
	d := digest{secret: ruleNames}
	d.text(name)
	return d.sum().hi
}

func newRule(i int, cfg *Rule, set component.TelemetrySettings) (*rule, error) {
	name := cfg.name(i)
	r := &rule{
		name:         name,
		index:        uint16(i),
		id:           ruleID(name),
		caller:       cfg.Caller,
		limitWindow:  toMs(cfg.CallerLimits.Window),
		limitSize:    uint32(cfg.CallerLimits.BatchSize),
		limitTimeout: toMs(cfg.CallerLimits.BatchTimeout),
		dryRun:       cfg.DryRun,
		maxWait:      toMs(defaultMaxWait),
	}
	if err := r.compileMatch(&cfg.Match, set); err != nil {
		return nil, fmt.Errorf("rules[%d] (%s): %w", i, name, err)
	}
	if d := cfg.Dedup; d != nil {
		r.emit = map[string]emitMode{emitFirstAndSummary: emitModeFirstAndSummary, emitFirst: emitModeFirst, emitSummary: emitModeSummary}[d.Emit]
		r.window = toMs(d.Window)
		r.exAttributes, r.exBody, _ = compileExclude(d.Exclude) // Validate has refused what does not compile
	}
	if s := cfg.Sampling; s != nil {
		r.maxWait = toMs(s.MaxWait)
		r.sampler = newSampler(s)
		if s.Strategy == sampleReservoir {
			r.reservoir = newReservoir(s.Size, s.Window)
		}
	}
	r.dropsToCarry = r.emit == emitModeFirst || r.reservoir != nil || r.sampler != nil && r.sampler.carries()
	if b := cfg.Batch; b != nil {
		r.batchSize, r.batchTimeout = uint32(b.Size), toMs(b.Timeout)
	}
	return r, nil
}

func toMs(d time.Duration) uint32 { return uint32(d / time.Millisecond) }

func (r *rule) compileMatch(m *MatchConfig, set component.TelemetrySettings) error {
	for _, p := range m.Events {
		g, err := glob.Compile(p)
		if err != nil {
			return fmt.Errorf("match::events: %q: %w", p, err)
		}
		r.events = append(r.events, g)
	}
	for _, p := range m.Body {
		re, err := regexp.Compile(p)
		if err != nil {
			return fmt.Errorf("match::body: %w", err)
		}
		r.bodies = append(r.bodies, re)
	}
	if len(m.Conditions) == 0 {
		return nil
	}
	conditions, err := compileConditions(m.Conditions, set)
	if err != nil {
		return fmt.Errorf("match::conditions: %w", err)
	}
	r.conditions = conditions
	return nil
}

// compileConditions takes conditions as the contrib processors do: with context names (log.body) or without (body).
func compileConditions(conditions []string, set component.TelemetrySettings) (*ottl.ConditionSequence[*ottllog.TransformContext], error) {
	type sequence = *ottl.ConditionSequence[*ottllog.TransformContext]
	parser, err := ottllog.NewParser(ottlfuncs.StandardConverters[*ottllog.TransformContext](), set, ottllog.EnablePathContextNames())
	if err != nil {
		return nil, err
	}
	convert := func(pc *ottl.ParserCollection[sequence], _ ottl.ConditionsGetter, parsed []*ottl.Condition[*ottllog.TransformContext]) (sequence, error) {
		s := ottllog.NewConditionSequence(parsed, pc.Settings, ottllog.WithConditionSequenceErrorMode(ottl.IgnoreError))
		return &s, nil
	}
	collection, err := ottl.NewParserCollection(set,
		ottl.WithParserCollectionContext(ottllog.ContextName, &parser, ottl.WithConditionConverter(convert)))
	if err != nil {
		return nil, err
	}
	return collection.ParseConditionsWithContext(ottllog.ContextName, ottl.NewConditionsGetter(conditions), true)
}

// takes reports whether the rule is the one for this record.
func (r *rule) takes(ctx context.Context, rl plog.ResourceLogs, sl plog.ScopeLogs, lr plog.LogRecord, event bool) bool {
	return r.takesEvent(lr, event) && r.takesBody(lr) && r.takesByCondition(ctx, rl, sl, lr)
}

func (r *rule) takesEvent(lr plog.LogRecord, event bool) bool {
	if len(r.events) == 0 {
		return true
	}
	if !event {
		return false
	}
	for _, g := range r.events {
		if g.Match(lr.EventName()) {
			return true
		}
	}
	return false
}

func (r *rule) takesBody(lr plog.LogRecord) bool {
	if len(r.bodies) == 0 {
		return true
	}
	var text string
	if body := lr.Body(); body.Type() == pcommon.ValueTypeStr {
		text = body.Str()
	} else {
		text = body.AsString()
	}
	for _, re := range r.bodies {
		if re.MatchString(text) {
			return true
		}
	}
	return false
}

func (r *rule) takesByCondition(ctx context.Context, rl plog.ResourceLogs, sl plog.ScopeLogs, lr plog.LogRecord) bool {
	if r.conditions == nil {
		return true
	}
	tc := ottllog.NewTransformContext(rl, sl, lr)
	defer tc.Close()
	matched, err := r.conditions.Eval(ctx, tc) // in mode ignore: errors are logged
	return err == nil && matched
}

// windowOf is the window for a record, 0 if the rule does not deduplicate it. Who asks for a batch of events without
// naming what makes them the same wants them in the batch, equal or not.
func (r *rule) windowOf(f *facts) uint32 {
	switch {
	case r.caller && f.oncePer > 0:
		return min(f.oncePer, r.limitWindow)
	case r.caller && f.batched && !f.hasKey:
		return 0
	}
	return r.window
}

// batchOf is the batch that a record joins; size 0 is none.
func (r *rule) batchOf(f *facts) (size, timeout uint32) {
	size, timeout = r.batchSize, r.batchTimeout
	if !r.caller || !f.batched {
		return size, timeout
	}
	if f.batchSize > 0 {
		size = f.batchSize
	}
	if f.batchTimeout > 0 {
		timeout = f.batchTimeout
	}
	if size == 0 {
		size = r.limitSize
	}
	if timeout == 0 {
		timeout = r.limitTimeout
	}
	return min(size, r.limitSize), min(timeout, r.limitTimeout)
}

// emitOf is what leaves of the window of a record.
func (r *rule) emitOf() emitMode {
	if r.emit == emitEach { // a window that only the caller asked for
		return emitModeFirstAndSummary
	}
	return r.emit
}
