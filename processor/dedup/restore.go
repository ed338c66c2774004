// This file takes stored state back: at the start from the journal, or from an operator's backup.

package dedup

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"go.uber.org/zap"
)

// restorer rebuilds the state from records in the order in which they were written.
type restorer struct {
	p          *dedupProcessor
	rules      map[uint64]*rule
	secret     secret
	hasSecret  bool
	entries    *slab   // in the order in which they were written last
	index      index   // of those that are there: what was written again or removed is not
	helds      []*held // what entry.held names; from 1
	parcels    map[identity]*parcel
	reservoirs map[uint64]*storedReservoir
}

// storedEntry is an entry as it was written. Its entry names neither rule nor held.
type storedEntry struct {
	entry entry
	rule  *rule // nil: it is no longer there
	held  *held
}

type storedReservoir struct {
	samples   map[int]sample
	seen, end int64
}

func newRestorer(p *dedupProcessor) *restorer {
	r := &restorer{p: p, rules: map[uint64]*rule{}, entries: newSlab(), index: newIndex(), helds: make([]*held, 1),
		parcels: map[identity]*parcel{}, reservoirs: map[uint64]*storedReservoir{}}
	for _, one := range p.rules {
		if !one.dryRun { // such a rule has no place for what is stored
			r.rules[one.id] = one
		}
	}
	return r
}

// apply takes one record.
func (r *restorer) apply(format uint32, record []byte) error {
	if format != stateFormat {
		return fmt.Errorf("format %d of the state is unknown", format)
	}
	d := decoder{b: record}
	switch kind := d.byte(); kind {
	case recordSecret:
		if b := d.take(len(r.secret)); b != nil {
			r.secret, r.hasSecret = secret(b), true
		}
	case recordTenant:
		r.tenant(&d)
	case recordEntry:
		r.entry(&d)
	case recordRun:
		r.run(&d)
	case recordRemoval:
		r.forget(d.key())
	case recordParcel:
		r.parcel(&d)
	case recordEnd:
		delete(r.parcels, d.id())
	case recordSample:
		r.sample(&d)
	case recordReservoir:
		r.reservoir(&d)
	default:
		return fmt.Errorf("record of unknown kind %d", kind)
	}
	return d.err
}

func (r *restorer) tenant(d *decoder) {
	id, metadata := d.key(), map[string][]string{}
	for range d.count() {
		name := d.text()
		for range d.count() {
			metadata[name] = append(metadata[name], d.text())
		}
	}
	if d.err == nil {
		r.p.tenants.restore(id, metadata)
	}
}

func (r *restorer) entry(d *decoder) {
	e := entry{key: d.key(), start: d.int64(), length: d.uint32()}
	rule := r.rules[d.uint64()]
	e.kind, e.state = d.byte(), d.byte()&(open|leads)
	var h *held
	if d.byte() == 1 {
		var before *held
		if at := r.index.find(e.key, r.entries); at != 0 {
			before = r.helds[r.entries.at(at).held]
		}
		h = d.held(r.p.tenants, before)
	}
	r.put(d, e, rule, h)
}

func (r *restorer) run(d *decoder) {
	rule := r.rules[d.uint64()]
	e := entry{length: d.uint32(), kind: kindKey, state: open | leads}
	for len(d.b) > 0 && d.err == nil {
		e.key = d.key()
		e.start += d.varint()
		r.put(d, e, rule, nil)
	}
}

// put takes an entry, unless it cannot be right.
func (r *restorer) put(d *decoder, e entry, rule *rule, h *held) {
	if e.kind > kindCarry || int64(e.length) > int64(maxWindow/time.Millisecond) {
		d.err = errTruncated
	}
	if d.err != nil {
		return
	}
	r.forget(e.key)
	e.rule = ruleGone
	if rule != nil {
		e.rule = rule.index
	}
	if h != nil {
		e.held = uint32(len(r.helds))
		r.helds = append(r.helds, h)
	}
	slot := r.entries.take()
	*r.entries.at(slot) = e
	r.index.insert(e.key, slot)
}

// ruleGone is in place of the index of a rule that is no longer there.
const ruleGone = math.MaxUint16

func (r *restorer) forget(k key) {
	if at := r.index.find(k, r.entries); at != 0 {
		r.helds[r.entries.at(at).held] = nil
		r.index.remove(k, at)
	}
}

// live yields the entries that are there, in the order in which they were written last.
func (r *restorer) live() iter.Seq[storedEntry] {
	return func(yield func(storedEntry) bool) {
		for at := uint32(1); at < r.entries.next; at++ {
			stored := storedEntry{entry: *r.entries.at(at)}
			e := &stored.entry
			if r.index.find(e.key, r.entries) != at {
				continue // written again, or removed
			}
			stored.held = r.helds[e.held]
			if e.rule != ruleGone {
				stored.rule = r.p.rules[e.rule]
			}
			e.rule, e.held = 0, 0
			if !yield(stored) {
				return
			}
		}
	}
}

func (r *restorer) parcel(d *decoder) {
	p := &parcel{id: d.id(), recorded: true}
	p.rule = r.rules[d.uint64()]
	p.kind, p.led = d.byte(), d.byte() == 1
	p.held = d.held(r.p.tenants, nil)
	if d.err == nil && (p.held.kept == nil || p.kind > kindSample) {
		d.err = errTruncated
	}
	if p.rule == nil {
		p.rule = r.p.table.removed()
	}
	if d.err == nil {
		r.parcels[p.id] = p
	}
}

func (r *restorer) stored(rule uint64) *storedReservoir {
	if r.reservoirs[rule] == nil {
		r.reservoirs[rule] = &storedReservoir{samples: map[int]sample{}}
	}
	return r.reservoirs[rule]
}

func (r *restorer) sample(d *decoder) {
	rule, place := d.uint64(), d.uvarint()
	s := sample{weight: d.float(), lanes: d.lanes(), kept: d.kept(r.p.tenants)}
	if place >= maxReservoir {
		d.err = errTruncated
	}
	if d.err == nil {
		r.stored(rule).samples[int(place)] = s
	}
}

func (r *restorer) reservoir(d *decoder) {
	res := r.stored(d.uint64())
	res.seen, res.end = d.int64(), d.int64()
	n := d.uvarint()
	for place := range res.samples {
		if uint64(place) >= n {
			delete(res.samples, place)
		}
	}
}

// finish makes the state of the processor what was read. Windows go on; those that have ended meanwhile end now.
// It reports whether something was taken from rules that have no place for it any more: what is stored must then be
// replaced, or it would come back once more.
func (r *restorer) finish() (moved bool) {
	if r.hasSecret && r.p.cfg.KeySecret == "" {
		r.p.secret.Store(&r.secret)
	}
	now := r.p.now()
	for _, p := range r.parcels { // before the entries, of which some become parcels and must not take their identities
		r.p.table.restoreParcel(p)
		r.p.outlet.queue = append(r.p.outlet.queue, p)
	}
	for stored := range r.live() {
		r.p.table.restore(stored, now)
		moved = moved || stored.rule == nil
	}
	slices.SortFunc(r.p.outlet.queue, func(a, b *parcel) int { return cmp.Compare(a.id.start, b.id.start) })
	samples := 0
	for id, res := range r.reservoirs {
		samples += len(res.samples)
		moved = r.restoreReservoir(r.rules[id], res, now) || moved
	}
	if r.index.used+len(r.parcels)+samples > 0 {
		r.p.set.Logger.Info("State restored", zap.Int("keys", r.index.used),
			zap.Int("undelivered", len(r.parcels)), zap.Int("samples", samples))
	}
	return moved
}

// restoreReservoir puts samples back. Those that no reservoir has a place for leave now, which it reports.
func (r *restorer) restoreReservoir(to *rule, res *storedReservoir, now int64) bool {
	places := make([]int, 0, len(res.samples))
	for place := range res.samples {
		places = append(places, place)
	}
	slices.Sort(places)
	var leaving []sample
	for _, place := range places {
		if s := res.samples[place]; to != nil && to.reservoir != nil && len(to.reservoir.samples) < to.reservoir.size {
			to.reservoir.samples = append(to.reservoir.samples, s)
			to.stats.restore(s.weight)
		} else {
			leaving = append(leaving, s)
		}
	}
	if to != nil && to.reservoir != nil {
		to.reservoir.seen, to.reservoir.end = max(res.seen, int64(len(to.reservoir.samples))), min(res.end, now+to.reservoir.window)
	}
	if len(leaving) > 0 {
		if to == nil {
			to = r.p.table.removed()
		}
		for _, s := range leaving {
			to.stats.restore(s.weight)
		}
		r.p.outlet.queue = append(r.p.outlet.queue, r.p.outlet.sampleOf(to, leaving, now)...)
	}
	return len(leaving) > 0
}

// restore puts an entry back. One whose rule is gone gives what it holds and is forgotten.
func (t *table) restore(stored storedEntry, now int64) {
	e := &stored.entry
	s := t.shardOf(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if stored.rule == nil {
		if h := stored.held; h != nil && h.weight > 0 {
			removed := t.removed()
			removed.stats.restore(h.weight)
			s.post(&parcel{id: identity{e.key, e.start}, kind: e.kind, led: e.state&leads != 0, rule: removed, held: h})
		}
		return
	}
	// A clock that was set back must not prolong a window.
	start := min(e.start, now)
	slot := s.insert(e.key, e.kind, stored.rule, e.length, start, true)
	at := s.slab.at(slot)
	at.start, at.state = start, e.state|recorded
	s.last = max(s.last, start)
	if e.length > 0 {
		s.wheel.remove(slot)
		s.wheel.add(slot, at.end())
	}
	if stored.held != nil {
		before := s.holding(at).bytes()
		s.helds[at.held] = stored.held
		s.bytes += stored.held.bytes() - before
		stored.rule.stats.restore(stored.held.weight)
	}
}

func (t *table) restoreParcel(p *parcel) {
	s := t.shardOf(p.id.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[p.id] = p
	s.last = max(s.last, p.id.start)
	t.waiting.add(1, p.bytes())
	p.rule.stats.restore(p.held.weight)
}

// removed is the rule that stands for those that are no longer configured.
func (t *table) removed() *rule { return t.rules[len(t.rules)-2] }
