// This file is what is to become of one batch: a verdict for each record, to be committed or undone as a whole
// when the next consumer has answered.

package dedup

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// verdict on a record.
type verdict uint8

const (
	pass     verdict = iota // it leaves with its batch
	suppress                // it is counted under its key
	drop                    // sampling dropped it; its weight rides on what passes
	offer                   // a reservoir may take it
	join                    // it joins a batch
	again                   // it has come before, as a summary of a peer that was delivered twice
)

// planned is one record of a batch.
type planned struct {
	rule    *rule // nil: none takes it
	verdict verdict

	summary  bool
	reserved bool   // it is the first of its key, in flight
	counted  bool   // it is added to what its key holds
	unkeyed  bool   // the table had no room
	keep     bool   // the record must be copied before it goes
	extra    uint32 // in plan.extras; 0 for most

	key    key    // where the rule deduplicates it
	window uint32 // ms, 0 where it does not
	slot   uint32 // of its entry; it stays there while reserved
	kept   *kept  // the copy, or that of the entry

	own    float64 // weight with which it came
	weight float64 // with what rides on it

	measuresFrom uint32
	measuresTo   uint32
}

// extra is what only summaries have, and records of rules that sample or batch. It is kept apart: a batch of
// planned records should not drive the records themselves out of the processor's cache.
type extra struct {
	logCount float64
	firstAt  int64
	trace    pcommon.TraceID
	draw     float64 // its luck in the reservoir, in [0, 1)
	ride     float64 // weight
	lanes    lanes
}

// stratum is what a batch does to one carry or one batch entry. Weights are of the records of this plan.
type stratum struct {
	key     key
	rule    *rule
	dropped float64 // waits for a record to ride on
	claimed float64 // taken from the table: goes back if the plan is undone
	taken   bool
	kept    *kept
}

// plan is reused; it keeps its buffers.
type plan struct {
	id      uint32
	now     int64
	tenant  *tenant
	digest  digest
	records []planned
	extras  []extra // the first is that of all records without one

	measures     []measured
	measuresRead int // those before belong to earlier records

	byShard   [maxShards][]uint32 // positions in records of those that the table decides
	strata    []stratum
	stratumOf map[key]uint32

	offers  []int64 // to the reservoir of each rule
	tallies []tally // of each rule, by its index; the last is of records that no rule takes

	identified []identified
	claimed    []uint64 // identities that are this plan's to settle
	repeated   int

	passing  int
	edited   bool // some record does not pass as it came
	copied   bool // something of a record must be copied
	stripped int
	unkeyed  int

	laneEvent  string // the event name, rule and resource for which lanes was computed
	laneRule   *rule
	laneOrigin key
	laneLast   lanes
}

func newPlan(rules int) *plan {
	return &plan{extras: make([]extra, 1), stratumOf: map[key]uint32{}, offers: make([]int64, rules), tallies: make([]tally, rules)}
}

// reset empties the plan, and lets go of what it points to.
func (p *plan) reset() {
	clear(p.records)
	clear(p.measures)
	clear(p.digest.fields[:cap(p.digest.fields)])
	clear(p.strata)
	clear(p.stratumOf)
	for i := range p.byShard {
		p.byShard[i] = p.byShard[i][:0]
	}
	p.records, p.extras, p.measures, p.strata, p.measuresRead = p.records[:0], p.extras[:1], p.measures[:0], p.strata[:0], 0
	p.identified, p.claimed, p.repeated = p.identified[:0], p.claimed[:0], 0
	p.edited, p.copied, p.passing, p.stripped, p.unkeyed = false, false, 0, 0, 0
	clear(p.offers)
	clear(p.tallies)
	p.laneEvent, p.laneRule = "", nil
}

// prepare reads every record: which rule takes it, and under which key.
func (p *plan) prepare(ctx context.Context, ld plog.Logs, rules []*rule, t *table, trusted bool) {
	for i := range ld.ResourceLogs().Len() {
		rl := ld.ResourceLogs().At(i)
		var resource key
		if len(rules) > 0 {
			resource = p.digest.resource(rl.Resource(), p.tenant.id)
		}
		for j := range rl.ScopeLogs().Len() {
			sl := rl.ScopeLogs().At(j)
			var scope key
			scoped := false
			for k := range sl.LogRecords().Len() {
				lr := sl.LogRecords().At(k)
				f := p.read(lr, trusted)
				p.stripped += f.stripped
				p.records = append(p.records, planned{own: f.weight, weight: f.weight})
				r := &p.records[len(p.records)-1]
				r.measuresFrom, r.measuresTo = uint32(p.measuresRead), uint32(len(p.measures))
				p.measuresRead = len(p.measures)
				if r.rule = ruleFor(ctx, rules, rl, sl, lr, &f); r.rule == nil {
					p.digest.fields = p.digest.fields[:0]
					continue
				}
				if r.window = r.rule.windowOf(&f); r.window > 0 {
					if !f.hasKey && !scoped {
						scope, scoped = p.digest.scope(sl.Scope()), true
					}
					r.key = p.identify(lr, &f, r.rule, resource, scope)
					n := t.shardNumber(r.key)
					p.byShard[n] = append(p.byShard[n], uint32(len(p.records)-1))
				}
				if r.summary = f.summary; r.summary {
					x := p.newExtra(r)
					x.logCount, x.firstAt = f.logCount, f.firstAt
					p.identifySummary(r, &f)
				}
				if r.rule.sampler != nil {
					p.newExtra(r).trace = lr.TraceID()
				}
				p.setLanes(r, lr, &f, resource)
				p.digest.fields = p.digest.fields[:0]
				if r.rule.caller && f.asked && !r.rule.dryRun { // what was asked is answered here
					lr.Attributes().RemoveIf(func(name string, _ pcommon.Value) bool { return isAsked(name) })
				}
			}
		}
	}
}

// extra of a record, to be read.
func (p *plan) extra(r *planned) *extra { return &p.extras[r.extra] }

// newExtra is the record's own, valid until the next.
func (p *plan) newExtra(r *planned) *extra {
	if r.extra == 0 {
		r.extra = uint32(len(p.extras))
		p.extras = append(p.extras, extra{})
	}
	return &p.extras[r.extra]
}

func ruleFor(ctx context.Context, rules []*rule, rl plog.ResourceLogs, sl plog.ScopeLogs, lr plog.LogRecord, f *facts) *rule {
	event := f.hasKey || lr.EventName() != ""
	for _, r := range rules {
		if r.takes(ctx, rl, sl, lr, event) {
			return r
		}
	}
	return nil
}

// identify returns the key of an event: by its dedup_key, or else by its content.
func (p *plan) identify(lr plog.LogRecord, f *facts, r *rule, resource, scope key) key {
	d := &p.digest
	if f.hasKey {
		d.begin(domainExplicit)
	} else {
		d.begin(domainContent)
	}
	d.number(r.id)
	d.key(resource)
	d.text(lr.EventName())
	if f.hasKey {
		d.value(f.explicit, nil)
		return d.sum()
	}
	d.key(scope)
	d.number(uint64(lr.SeverityNumber()))
	d.text(lr.SeverityText())
	d.value(lr.Body(), r.exBody)
	d.sorted(0, r.exAttributes)
	return d.sum()
}

// identifySummary notes the identity of the summary that was added last.
func (p *plan) identifySummary(r *planned, f *facts) {
	if f.recordID == "" || r.rule.dryRun {
		return
	}
	p.digest.begin(domainSummary)
	p.digest.text(f.recordID)
	p.identified = append(p.identified, identified{uint32(len(p.records) - 1), p.digest.sum().lo})
}

// setLanes names the entries beside its own that the record's weight may go to.
func (p *plan) setLanes(r *planned, lr plog.LogRecord, f *facts, resource key) {
	size, timeout := r.rule.batchOf(f)
	if !r.rule.dropsToCarry && size == 0 {
		return
	}
	name := lr.EventName()
	if r.rule != p.laneRule || name != p.laneEvent || resource != p.laneOrigin || f.batched {
		d := &p.digest
		d.begin(domainCarry)
		d.number(r.rule.id)
		d.key(resource)
		d.text(name)
		p.laneLast = lanes{carry: d.sum()}
		if size > 0 {
			d.buf[0] = domainBatch
			d.text(f.batchKey)
			p.laneLast.batch, p.laneLast.batchSize, p.laneLast.batchTimeout = d.sum(), size, timeout
		}
		p.laneEvent, p.laneRule, p.laneOrigin = name, r.rule, resource
		if f.batched { // asked for by this record alone
			p.laneRule = nil
		}
	}
	p.newExtra(r).lanes = p.laneLast
}

// decide asks the table, each shard under one lock.
func (p *plan) decide(t *table) {
	for n, positions := range p.byShard {
		if len(positions) == 0 {
			continue
		}
		s := t.shards[n]
		s.mu.Lock()
		s.index.warm(p.records, positions)
		for _, i := range positions {
			if r := &p.records[i]; r.verdict != again {
				s.decide(r, p.now, p.id)
			}
		}
		s.mu.Unlock()
	}
}

// stratum returns the plan's view of one carry or batch entry.
func (p *plan) stratum(k key, r *rule) *stratum {
	i, ok := p.stratumOf[k]
	if !ok {
		i = uint32(len(p.strata))
		p.strata = append(p.strata, stratum{key: k, rule: r})
		p.stratumOf[k] = i
	}
	return &p.strata[i]
}
