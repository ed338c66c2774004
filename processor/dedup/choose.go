// This file takes a plan from what the table decided to what leaves: sampling, batches, and the copies of what stays.

package dedup

import (
	"math/rand/v2"

	"go.opentelemetry.io/collector/pdata/plog"
)

// choose gives the records that deduplication lets pass to sampling and batching, in order.
func (p *plan) choose(t *table) {
	for i := range p.records {
		r := &p.records[i]
		switch {
		case r.rule == nil:
		case r.verdict == again:
			p.repeated++
		case r.rule.dryRun:
			p.dryRun(r)
		case r.verdict == suppress:
			p.chooseSuppressed(r)
		default:
			p.choosePassing(r, t)
		}
		if r.verdict == pass {
			p.passing++
		}
		if r.unkeyed {
			p.unkeyed++
		}
		p.edited = p.edited || r.verdict != pass || r.weight != r.own
		p.copied = p.copied || r.keep
	}
}

func (p *plan) chooseSuppressed(r *planned) {
	if !r.counted { // emit: first gives no summary; the next first carries it
		p.drop(r)
	}
}

// drop leaves the record's weight to what passes next.
func (p *plan) drop(r *planned) {
	if r.rule.dropsToCarry {
		p.stratum(p.extra(r).lanes.carry, r.rule).dropped += r.weight
		p.copied = true
	}
}

func (p *plan) choosePassing(r *planned, t *table) {
	rule := r.rule
	if rule.sampler != nil && !r.summary { // summaries skip sampling
		kept, factor := rule.sampler.keep(p.now, p.extra(r).trace)
		if !kept {
			r.verdict = drop
			p.drop(r)
			return
		}
		r.weight *= factor
	}
	if rule.reservoir != nil && !r.summary {
		x := p.extra(r) // it has lanes
		r.verdict, x.draw = offer, rand.Float64()
		r.keep = rule.reservoir.mayTake(x.draw, p.offers[rule.index])
		p.offers[rule.index]++
		p.copied = true
		return
	}
	if rule.dropsToCarry {
		x := p.extra(r)
		x.ride = p.ride(x.lanes.carry, rule, t)
		r.weight += x.ride
	}
	if p.extra(r).lanes.batchSize > 0 {
		r.verdict = join
		p.copied = true
	}
}

// dryRun counts what a rule would have done, and lets the record pass.
func (p *plan) dryRun(r *planned) {
	rule := r.rule
	switch {
	case r.verdict == suppress:
		rule.stats.suppressed.Add(1)
	case rule.sampler != nil:
		if kept, _ := rule.sampler.keep(p.now, p.extra(r).trace); !kept {
			rule.stats.sampledOut.Add(1)
		}
	case rule.reservoir != nil:
		if rule.reservoir.wouldDrop(p.now) {
			rule.stats.sampledOut.Add(1)
		}
	case p.extra(r).lanes.batchSize > 0:
		rule.stats.batched.Add(1)
	}
	r.verdict = pass
}

// ride takes what waits to ride on the next record: of this plan, and of the table.
func (p *plan) ride(carry key, r *rule, t *table) float64 {
	st := p.stratum(carry, r)
	if !st.taken {
		st.taken = true
		var stood *kept
		if st.claimed, stood = t.takeCarry(carry); st.kept == nil {
			st.kept = stood
		}
		st.dropped += st.claimed
	}
	weight := st.dropped
	st.dropped = 0
	return weight
}

// edit makes ld what leaves: copies what must stay, removes what does not pass, and writes the new weights.
func (p *plan) edit(ld plog.Logs) {
	i := 0
	ld.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
			sl.LogRecords().RemoveIf(func(lr plog.LogRecord) bool {
				r := &p.records[i]
				i++
				p.copy(r, rl, sl, lr)
				if r.verdict == pass && r.weight != r.own {
					putWeight(lr.Attributes(), r.weight)
				}
				return r.verdict != pass && p.passing > 0 // else nothing is handed on
			})
			return sl.LogRecords().Len() == 0
		})
		return rl.ScopeLogs().Len() == 0
	})
}

// copy keeps what the table will need of a record that may be gone when the plan is committed.
func (p *plan) copy(r *planned, rl plog.ResourceLogs, sl plog.ScopeLogs, lr plog.LogRecord) {
	if r.keep {
		r.kept = keep(rl, sl, lr, p.origin(rl, sl), p.tenant)
		return
	}
	var st *stratum
	switch {
	case r.verdict == join:
		st = p.stratum(p.extra(r).lanes.batch, r.rule)
	case r.verdict == drop || r.verdict == offer || r.verdict == suppress && !r.counted:
		if !r.rule.dropsToCarry {
			return
		}
		st = p.stratum(p.extra(r).lanes.carry, r.rule)
	default:
		return
	}
	if st.kept == nil {
		st.kept = keep(rl, sl, lr, p.origin(rl, sl), p.tenant)
	}
}

// origin of a record: parcels of one origin leave together.
func (p *plan) origin(rl plog.ResourceLogs, sl plog.ScopeLogs) key {
	resource, scope := p.digest.resource(rl.Resource(), p.tenant.id), p.digest.scope(sl.Scope())
	p.digest.begin(0)
	p.digest.key(resource)
	p.digest.key(scope)
	p.digest.text(rl.SchemaUrl())
	p.digest.text(sl.SchemaUrl())
	return p.digest.sum()
}
