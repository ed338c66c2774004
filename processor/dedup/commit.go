// This file ends a plan by what the next consumer answered: committed, refused for good, or undone.

package dedup

// outcome of handing a batch on.
type outcome uint8

const (
	accepted outcome = iota // it left, or nothing had to leave
	refused                 // for good: what was to leave is lost and counted, the rest stays
)

// undo gives back all that the plan reserved or took: the sender will come again.
func (p *plan) undo(t *table) {
	t.recent.settle(p.claimed, false)
	p.eachShard(t, func(s *shard, r *planned) {
		if r.reserved {
			s.cancel(r)
		}
	})
	for i := range p.strata {
		if st := &p.strata[i]; st.claimed > 0 {
			p.carry(t, st, st.claimed)
			st.rule.stats.held.add(st.claimed)
		}
	}
}

// commit makes the plan true.
func (p *plan) commit(t *table, o outcome) {
	t.recent.settle(p.claimed, true)
	p.eachShard(t, func(s *shard, r *planned) {
		switch {
		case r.reserved && o == refused && r.verdict == pass:
			s.cancel(r) // no reader saw it: the next one is the first
		case r.reserved:
			s.confirm(r)
		case r.counted:
			p.count(s, r)
		}
	})
	for i := range p.records {
		p.commitOne(&p.records[i], t, o)
	}
	for i := range p.strata {
		if st := &p.strata[i]; st.dropped > 0 {
			p.carry(t, st, st.dropped)
			p.tallyOf(st.rule).held += st.dropped
		}
	}
}

// eachShard calls fn for the records that the table decided, each shard under one lock.
func (p *plan) eachShard(t *table, fn func(s *shard, r *planned)) {
	for n, positions := range p.byShard {
		if len(positions) == 0 {
			continue
		}
		s := t.shards[n]
		s.mu.Lock()
		for _, i := range positions {
			fn(s, &p.records[i])
		}
		s.mu.Unlock()
	}
}

// count adds a suppressed record to what its key holds.
func (p *plan) count(s *shard, r *planned) {
	a := p.addition(r, r.own)
	a.slot = r.slot
	if !r.rule.dryRun {
		p.tallyOf(r.rule).held += r.own
	}
	if h := s.hold(r.key, kindKey, r.rule, r.window, &a, p.now); h.kept == nil {
		// The entry has gone since it was decided that an earlier record of this plan would bring the copy.
		for i := range p.records {
			if q := &p.records[i]; q.key == r.key && q.kept != nil {
				h.kept = q.kept
				s.bytes += q.kept.size()
				break
			}
		}
	}
}

func (p *plan) addition(r *planned, weight float64) addition {
	x := p.extra(r)
	return addition{
		records:  1,
		weight:   weight,
		summary:  r.summary,
		logCount: x.logCount,
		at:       p.now,
		firstAt:  x.firstAt,
		measures: p.measures[r.measuresFrom:r.measuresTo],
		kept:     r.kept,
		lanes:    &x.lanes,
	}
}

// commitOne does what is left to do for a record beside its key.
func (p *plan) commitOne(r *planned, t *table, o outcome) {
	if r.verdict == again {
		return // it is in the account
	}
	n := p.tallyOf(r.rule)
	n.in += r.own
	switch r.verdict {
	case pass:
		if o == accepted {
			n.out += r.weight
			return
		}
		n.refused += r.own
		if x := p.extra(r); x.ride > 0 { // what rode on it is not lost
			p.stratum(x.lanes.carry, r.rule).dropped += x.ride
		}
	case suppress:
		n.suppressed++
	case drop:
		n.sampledOut++
	case join:
		n.batched++
		n.held += r.weight
		a := p.addition(r, r.weight)
		a.kept = p.stratum(a.lanes.batch, r.rule).kept
		t.hold(a.lanes.batch, kindBatch, r.rule, a.lanes.batchTimeout, &a, p.now)
	case offer:
		x := p.extra(r)
		dropped, full := r.rule.reservoir.offer(p.now, x.draw, sample{r.weight, x.lanes, r.kept})
		n.held += r.weight
		if full {
			n.held -= dropped.weight
			n.sampledOut++
			st := p.stratum(dropped.lanes.carry, r.rule)
			st.dropped += dropped.weight
			if st.kept == nil {
				st.kept = dropped.kept
			}
		}
	}
}

// carry leaves weight to what passes next.
func (p *plan) carry(t *table, st *stratum, weight float64) {
	a := addition{records: 1, weight: weight, at: p.now, kept: st.kept, lanes: &lanes{carry: st.key}}
	t.hold(st.key, kindCarry, st.rule, st.rule.maxWait, &a, p.now)
}

// tally of one plan for one rule.
type tally struct {
	in, out, refused, held          float64 // held: what was added
	suppressed, sampledOut, batched int64
}

func (p *plan) tallyOf(r *rule) *tally {
	if r == nil {
		return &p.tallies[len(p.tallies)-1]
	}
	return &p.tallies[r.index]
}
