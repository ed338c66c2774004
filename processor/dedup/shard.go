// This file is one shard of the table: its entries, in order of use and by deadline, and what happens to them.

package dedup

import "sync"

// shard is guarded by its lock, which a batch takes once to be planned and once to be committed.
type shard struct {
	table *table

	mu      sync.Mutex
	slab    *slab
	index   index
	wheel   wheel
	newest  uint32 // LRU
	oldest  uint32
	helds   []*held // from 1
	free    []uint32
	last    int64                // start of the latest window: starts are unique
	bytes   int64                // of what is held
	closed  []*parcel            // for the outlet to fetch
	waiting map[identity]*parcel // closed and not delivered
	changes changes
}

func newShard(t *table, now int64) *shard {
	s := &shard{table: t, slab: newSlab(), index: newIndex(), helds: make([]*held, 1), waiting: map[identity]*parcel{}}
	s.wheel = wheel{slab: s.slab, current: now / tick}
	return s
}

// decide gives a record its verdict, and reserves what it needs. Only commit counts it.
func (s *shard) decide(p *planned, now int64, plan uint32) {
	slot := s.index.find(p.key, s.slab)
	if slot != 0 && s.slab.at(slot).end() <= now && !s.expire(slot, now) {
		slot = 0
	}
	mode := p.rule.emitOf()
	mayLead := mode != emitModeSummary && !p.summary
	if slot == 0 {
		if slot = s.insert(p.key, kindKey, p.rule, p.window, now, false); slot == 0 {
			p.unkeyed = true // passes
			return
		}
	} else {
		s.touch(slot)
	}
	e := s.slab.at(slot)
	if mayLead && e.state&(inFlight|open) == 0 {
		e.state |= inFlight
		p.slot, p.reserved = slot, true
		return
	}
	p.verdict = suppress
	if mode == emitModeFirst {
		return
	}
	p.counted, p.slot = true, slot
	h := s.holding(e)
	switch {
	case h.kept != nil && !h.stale:
		p.kept = h.kept
	case h.keeper != plan:
		h.keeper, p.keep = plan, true
	}
}

// confirm makes a reserved first the first: it has left.
func (s *shard) confirm(p *planned) {
	e := s.slab.at(p.slot)
	e.state = e.state&^inFlight | open | leads
	if p.own != 1 {
		s.holding(e).leader = p.own
	}
	s.changes.mark(p.slot, e)
}

// cancel gives a reservation back: the first did not leave. What other senders have added meanwhile stays.
func (s *shard) cancel(p *planned) {
	e := s.slab.at(p.slot)
	e.state &^= inFlight
	if h := s.heldBy(e); h == nil || h.records == 0 {
		s.remove(p.slot)
	}
}

// hold adds to what the entry of a key holds, and returns that; the entry is made where there is none.
// The caller counts the weight as held by the rule.
func (s *shard) hold(k key, kind uint8, r *rule, window uint32, a *addition, now int64) *held {
	slot := a.slot
	if slot == 0 || s.slab.at(slot).key != k {
		slot = s.index.find(k, s.slab)
	}
	if slot != 0 {
		if e := s.slab.at(slot); e.length != 0 && e.end() <= now && !s.expire(slot, now) {
			slot = 0
		}
	}
	if slot == 0 {
		slot = s.insert(k, kind, r, window, now, true)
	}
	e := s.slab.at(slot)
	h := s.holding(e)
	before := h.bytes()
	h.add(a)
	s.bytes += h.bytes() - before
	s.changes.mark(slot, e)
	if kind == kindBatch && h.records >= int64(a.lanes.batchSize) {
		s.close(e, h)
		s.remove(slot)
		return h
	}
	for s.bytes > s.table.maxBytes && s.oldest != slot && s.evict() {
	}
	return h
}

// takeCarry takes the weight that waits under a key to ride on a record, and the record that stands for it.
func (s *shard) takeCarry(k key) (float64, *kept) {
	slot := s.index.find(k, s.slab)
	if slot == 0 {
		return 0, nil
	}
	e := s.slab.at(slot)
	h := s.heldBy(e)
	s.table.rules[e.rule].stats.held.add(-h.weight)
	s.remove(slot)
	return h.weight, h.kept
}

// expire ends the window of an entry. It reports whether the entry goes on.
func (s *shard) expire(slot uint32, now int64) bool {
	e := s.slab.at(slot)
	h := s.heldBy(e)
	busy := h != nil && h.weight > 0
	r := s.table.rules[e.rule]
	if e.state&inFlight != 0 || busy && !r.dryRun && s.table.waiting.full() {
		s.wheel.remove(slot)
		s.wheel.add(slot, now+tick)
		return true
	}
	if !busy {
		s.remove(slot)
		return false
	}
	s.close(e, h)
	next := e.end()
	if e.kind != kindKey || r.emitOf() != emitModeFirstAndSummary || now >= next+int64(e.length)*1e6 {
		s.remove(slot)
		return false
	}
	e.start = next
	e.state = e.state&^leads | open
	s.last = max(s.last, e.start)
	s.wheel.remove(slot)
	s.wheel.add(slot, e.end())
	s.changes.mark(slot, e)
	return true
}

// close hands what an entry holds to the outlet. The entry keeps the record for the case that a further window
// begins with one whose own record was not copied.
func (s *shard) close(e *entry, h *held) {
	r := s.table.rules[e.rule]
	s.helds[e.held] = &held{kept: h.kept, stale: true}
	s.bytes += s.helds[e.held].bytes() - h.bytes()
	if r.dryRun {
		return
	}
	s.post(&parcel{id: identity{e.key, e.start}, kind: e.kind, led: e.state&leads != 0, rule: r, held: h})
}

// post adds a parcel to what waits to be delivered.
func (s *shard) post(p *parcel) {
	for s.waiting[p.id] != nil { // only after the clock was set back over a restart
		p.id.start++
	}
	s.last = max(s.last, p.id.start)
	s.closed = append(s.closed, p)
	s.waiting[p.id] = p
	s.table.waiting.add(1, p.bytes())
	s.changes.posted(p)
}

// done forgets a parcel that was delivered, refused, or taken into a batch.
func (s *shard) done(p *parcel) {
	delete(s.waiting, p.id)
	s.table.waiting.add(-1, -p.bytes())
	s.changes.delivered(p)
}

// evict takes the entry used longest ago, but none with a first in flight. It reports whether there was one.
func (s *shard) evict() bool {
	slot := s.oldest
	for range evictionReach {
		if slot == 0 {
			return false
		}
		e := s.slab.at(slot)
		if e.state&inFlight != 0 {
			slot = e.newer
			continue
		}
		s.table.rules[e.rule].stats.evicted.Add(1)
		s.drop(slot)
		return true
	}
	return false
}

// drop removes an entry before its time. What it holds leaves.
func (s *shard) drop(slot uint32) {
	e := s.slab.at(slot)
	if h := s.heldBy(e); h != nil && h.weight > 0 {
		s.close(e, h)
	}
	e.state |= gathered // what is stored of it must go
	s.remove(slot)
}

// evictionReach bounds the search for an entry that can be evicted.
const evictionReach = 64

// insert adds an entry. When the shard is full and nothing can be evicted it returns 0, or goes over its bound
// when it must.
func (s *shard) insert(k key, kind uint8, r *rule, window uint32, now int64, must bool) uint32 {
	if s.index.used >= s.table.maxKeys && !s.evict() && !must {
		return 0
	}
	slot := s.slab.take()
	s.last = max(now, s.last+1)
	e := s.slab.at(slot)
	*e = entry{key: k, start: s.last, length: window, bucket: noBucket, rule: r.index, kind: kind}
	s.index.insert(k, slot)
	s.link(slot, e)
	if window > 0 {
		s.wheel.add(slot, e.end())
	}
	return slot
}

func (s *shard) remove(slot uint32) {
	e := s.slab.at(slot)
	s.changes.gone(e)
	if e.held != 0 {
		s.bytes -= s.helds[e.held].bytes()
		s.helds[e.held] = nil
		s.free = append(s.free, e.held)
	}
	s.wheel.remove(slot)
	s.unlink(e)
	s.index.remove(e.key, slot)
	s.slab.give(slot)
}

// heldBy returns what the entry holds, nil if nothing.
func (s *shard) heldBy(e *entry) *held {
	if e.held == 0 {
		return nil
	}
	return s.helds[e.held]
}

// holding returns what the entry holds, made where there is nothing.
func (s *shard) holding(e *entry) *held {
	if e.held != 0 {
		return s.helds[e.held]
	}
	e.state |= gathered
	h := &held{}
	s.bytes += h.bytes()
	if n := len(s.free); n > 0 {
		e.held, s.free = s.free[n-1], s.free[:n-1]
		s.helds[e.held] = h
	} else {
		e.held = uint32(len(s.helds))
		s.helds = append(s.helds, h)
	}
	return h
}

// touch makes the entry the one used last.
func (s *shard) touch(slot uint32) {
	if s.newest == slot {
		return
	}
	e := s.slab.at(slot)
	s.unlink(e)
	s.link(slot, e)
}

func (s *shard) link(slot uint32, e *entry) {
	e.newer, e.older = 0, s.newest
	if s.newest != 0 {
		s.slab.at(s.newest).newer = slot
	} else {
		s.oldest = slot
	}
	s.newest = slot
}

func (s *shard) unlink(e *entry) {
	if e.newer != 0 {
		s.slab.at(e.newer).older = e.older
	} else {
		s.newest = e.older
	}
	if e.older != 0 {
		s.slab.at(e.older).newer = e.newer
	} else {
		s.oldest = e.newer
	}
}
