// This file writes all that there is, for a snapshot or a backup. Each lock is held for a step at a time, and none
// while what was gathered is handed on.

package dedup

import (
	"slices"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// What is encoded under one hold of a lock: so many entries, and no more once there are so many bytes.
const (
	stepEntries = 512
	stepBytes   = 128 << 10
)

// image is one pass over all that there is.
type image struct {
	records records
	emit    func(record []byte) error
	failed  error // of emit: nothing is emitted after it
	pauses  operator.Pauses
	newer   []uint32 // of each slot of a shard: the one used next after it
}

// write emits the secret, the tenants, the shards and the reservoirs.
func (i *image) write(p *dedupProcessor) error {
	i.records.buf = make([]byte, 0, 2*stepBytes)
	i.records.add(encodeSecret(i.records.buf, *p.secret.Load()))
	for _, t := range p.tenants.list() {
		i.records.add(encodeTenant(i.records.buf, t))
	}
	i.flush()
	for _, s := range p.table.shards {
		i.entries(s)
		i.parcels(s)
	}
	for _, rule := range p.rules {
		if rule.reservoir != nil {
			i.pauses.Hold(&rule.reservoir.mu, func() { rule.reservoir.encodeAll(&i.records, rule.id) })
			i.flush()
		}
	}
	return i.failed
}

// entries emits the entries of a shard from the one used longest ago on, so that a restore finds the same order of
// use. What joins them meanwhile is a change that the journal has.
func (i *image) entries(s *shard) {
	var slots int
	i.pauses.Hold(&s.mu, func() { slots = int(s.slab.next) })
	i.newer = slices.Grow(i.newer[:0], slots+stepEntries) // here: who allocates may have to help the collector
	var slot uint32
	i.pauses.Hold(&s.mu, func() { slot = i.order(s) })
	for slot != 0 && i.failed == nil {
		i.pauses.Hold(&s.mu, func() {
			for n := 0; slot != 0 && n < stepEntries && len(i.records.buf) < stepBytes; n++ {
				e := s.slab.at(slot)
				if gone := e.key == (key{}); !gone && (e.state&(inFlight|open) != inFlight || e.held != 0) {
					i.records.entry(e, s.table.rules[e.rule], s.heldBy(e), true)
				}
				slot = i.newer[slot]
			}
		})
		i.flush()
	}
}

// order copies the order of use, and returns the slot that was used longest ago. Slot by slot, as they lie in
// memory, this takes a small part of the time of following the order.
func (i *image) order(s *shard) (oldest uint32) {
	i.newer = append(i.newer[:0], 0) // slots count from 1
	for slot := uint32(1); slot < s.slab.next; slot++ {
		i.newer = append(i.newer, s.slab.at(slot).newer)
	}
	return s.oldest
}

// parcels emits what waits to be delivered.
func (i *image) parcels(s *shard) {
	var waiting []*parcel
	i.pauses.Hold(&s.mu, func() {
		waiting = make([]*parcel, 0, len(s.waiting))
		for _, p := range s.waiting {
			waiting = append(waiting, p)
		}
	})
	for len(waiting) > 0 && i.failed == nil {
		i.pauses.Hold(&s.mu, func() {
			for len(waiting) > 0 && len(i.records.buf) < stepBytes {
				if p := waiting[0]; s.waiting[p.id] == p {
					i.records.parcel(p)
				}
				waiting = waiting[1:]
			}
		})
		i.flush()
	}
}

// flush hands on what was gathered.
func (i *image) flush() {
	for record := range i.records.drain() {
		if i.failed == nil {
			i.failed = i.emit(record)
		}
	}
}
