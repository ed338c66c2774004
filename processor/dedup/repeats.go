// This file lets a wire_dedup take repeats out of requests before they are decoded: what it may take, and how that
// is counted.

package dedup

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/wire"
)

var (
	_ wire.Table = (*dedupProcessor)(nil)
	_ wire.Event = (*repeat)(nil)
)

// Open implements wire.Table.
func (p *dedupProcessor) Open() bool { return p.flag.Enabled() && !p.table.waiting.full() }

// Learn implements wire.Table. It takes records of rules that do nothing but suppress, by what is in the record
// alone, and leaves those of registered agents, which others look at on their way here.
func (p *dedupProcessor) Learn(one plog.Logs) wire.Event {
	if _, registered := one.ResourceLogs().At(0).Resource().Attributes().Get(attr.AgentID); registered {
		return nil
	}
	plan := p.newPlan()
	defer p.release(plan)
	var err error
	if plan.tenant, err = p.tenants.of(context.Background(), &plan.digest); err != nil {
		return nil
	}
	plan.prepare(context.Background(), one, p.rules, p.table, false)
	r := &plan.records[0]
	if r.rule == nil || r.window == 0 || plan.stripped > 0 || !r.rule.onlySuppresses() {
		return nil
	}
	measures := slices.Clone(plan.measures)
	for i := range measures {
		measures[i].name = strings.Clone(measures[i].name) // not the whole record with it
	}
	return &repeat{p: p, rule: r.rule, key: r.key, window: r.window, measures: measures}
}

// onlySuppresses reports whether the rule does nothing to a repeat but count it.
func (r *rule) onlySuppresses() bool {
	return r.emitOf() == emitModeFirstAndSummary && !r.dryRun && r.conditions == nil &&
		r.sampler == nil && r.reservoir == nil && r.batchSize == 0
}

// repeat is a record that came as often as others are counted.
type repeat struct {
	p        *dedupProcessor
	rule     *rule
	key      key
	window   uint32 // ms
	measures []measured
	kept     atomic.Pointer[kept] // of its entry, lest that is evicted
}

// Suppressed implements wire.Event.
func (r *repeat) Suppressed() time.Duration {
	now := r.p.now()
	s := r.p.table.shardOf(r.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.index.find(r.key, s.slab)
	if slot == 0 {
		return 0
	}
	e := s.slab.at(slot)
	h := s.heldBy(e)
	if e.state&open == 0 || h == nil || h.kept == nil || h.stale {
		return 0
	}
	r.kept.Store(h.kept)
	return time.Duration(e.end() - now)
}

// Count implements wire.Event.
func (r *repeat) Count(n int) {
	weight := float64(n)
	a := addition{records: int64(n), weight: weight, at: r.p.now(), measures: r.measures, kept: r.kept.Load(), lanes: &lanes{}}
	s := r.p.table.shardOf(r.key)
	s.mu.Lock()
	if a.slot = s.index.find(r.key, s.slab); a.slot != 0 {
		s.touch(a.slot)
	}
	s.hold(r.key, kindKey, r.rule, r.window, &a, a.at)
	s.mu.Unlock()
	r.rule.stats.take(&tally{in: weight, held: weight, suppressed: int64(n)})
}
