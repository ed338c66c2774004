// This file is the table of keys: shards, each with a lock of its own, and what they share.

package dedup

import (
	"math/bits"
	"sync/atomic"
)

// maxKeysLimit is what slots of 32 bits and shards can number.
const maxKeysLimit = 1 << 28

// table is bounded by keys and by bytes.
type table struct {
	shards   []*shard
	shift    uint  // of key.hi: the rest is the shard
	maxKeys  int   // of a shard
	maxBytes int64 // of what a shard holds
	rules    []*rule
	waiting  *backlog
	recent   *recent
}

const (
	maxShards    = 16
	keysPerShard = 4096 // fewer shards for small tables, whose bound would be uneven otherwise
)

func newTable(cfg *Config, rules []*rule, now int64) *table {
	n := 1
	for n < maxShards && cfg.MaxKeys >= 2*n*keysPerShard {
		n *= 2
	}
	t := &table{
		shift:    uint(64 - bits.Len(uint(n-1))),
		maxKeys:  (cfg.MaxKeys + n - 1) / n,
		maxBytes: cfg.MaxBytes / int64(n),
		rules:    rules,
		recent:   newRecent(),
		waiting:  &backlog{maxRecords: int64(cfg.Queue.Records), maxBytes: cfg.Queue.Bytes},
	}
	for range n {
		t.shards = append(t.shards, newShard(t, now))
	}
	return t
}

func (t *table) shardNumber(k key) int { return int(k.hi >> t.shift) }

func (t *table) shardOf(k key) *shard { return t.shards[t.shardNumber(k)] }

// hold adds to what the entry of a key holds.
func (t *table) hold(k key, kind uint8, r *rule, window uint32, a *addition, now int64) {
	s := t.shardOf(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold(k, kind, r, window, a, now)
}

// takeCarry takes the weight that waits under a key to ride on a record, and the record that stands for it.
func (t *table) takeCarry(k key) (float64, *kept) {
	s := t.shardOf(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takeCarry(k)
}

// advance ends the windows that are due, and returns what they gave.
func (t *table) advance(now int64) []*parcel {
	var closed []*parcel
	for _, s := range t.shards {
		s.mu.Lock()
		s.wheel.advance(now, func(slot uint32) {
			if end := s.slab.at(slot).end(); end > now {
				s.wheel.add(slot, end)
				return
			}
			s.expire(slot, now)
		})
		closed = append(closed, s.closed...)
		clear(s.closed)
		s.closed = s.closed[:0]
		s.mu.Unlock()
	}
	return closed
}

// closeAll closes what the entries that match hold, whatever their windows, and returns it. Keys stay known.
func (t *table) closeAll(matches func(e *entry) bool) []*parcel {
	var closed []*parcel
	for _, s := range t.shards {
		s.mu.Lock()
		s.each(func(slot uint32, e *entry) {
			if h := s.heldBy(e); h != nil && h.weight > 0 && matches(e) {
				s.close(e, h)
				if e.kind == kindKey {
					e.state &^= leads
					e.start++ // what the rest of the window gives has an identity of its own
					s.changes.mark(slot, e)
				} else {
					s.remove(slot)
				}
			}
		})
		closed = append(closed, s.closed...)
		s.closed = nil
		s.mu.Unlock()
	}
	return closed
}

// each calls fn for every entry, from the one used last on. fn may remove the entry.
func (s *shard) each(fn func(slot uint32, e *entry)) {
	for slot := s.newest; slot != 0; {
		e := s.slab.at(slot)
		older := e.older
		fn(slot, e)
		slot = older
	}
}

// size returns the number of keys, and the bytes that the table takes (estimate).
func (t *table) size() (keys, bytes int64) {
	for _, s := range t.shards {
		s.mu.Lock()
		keys += int64(s.index.used)
		bytes += s.bytes + s.slab.bytes() + int64(len(s.index.buckets))*8
		s.mu.Unlock()
	}
	return keys, bytes
}

// storedBytes returns about what a snapshot of the table takes.
func (t *table) storedBytes() int64 {
	keys, bytes := int64(0), t.waiting.bytes.Load()
	for _, s := range t.shards {
		s.mu.Lock()
		keys += int64(s.index.used)
		bytes += s.bytes
		s.mu.Unlock()
	}
	return keys*runBytes + bytes
}

// backlog bounds what waits to be delivered.
type backlog struct {
	maxRecords, maxBytes int64
	records, bytes       atomic.Int64
}

func (b *backlog) add(records, bytes int64) {
	b.records.Add(records)
	b.bytes.Add(bytes)
}

func (b *backlog) full() bool {
	return b.records.Load() >= b.maxRecords || b.bytes.Load() >= b.maxBytes
}

// postSample posts a record of a reservoir, with an identity of its own among those of its carry.
func (t *table) postSample(p *parcel, carry key, now int64) {
	s := t.shardOf(carry)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(now, s.last+1)
	p.id = identity{carry, s.last}
	s.waiting[p.id] = p
	s.table.waiting.add(1, p.bytes())
	s.changes.posted(p)
}
