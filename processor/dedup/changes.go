// This file remembers what of a shard has changed since the last write to storage.

package dedup

// changes of one shard, guarded by its lock. Those of an entry are its slot, marked once; not its value at each change.
type changes struct {
	on    bool // there is storage
	slots []uint32
	keys  []key // removed
	posts []*parcel
	ends  []identity // of parcels
}

func (c *changes) mark(slot uint32, e *entry) {
	if c.on && e.state&dirty == 0 {
		e.state |= dirty
		c.slots = append(c.slots, slot)
	}
}

// gone notes a removal, where storage has something of the entry that would come back.
func (c *changes) gone(e *entry) {
	if c.on && e.state&(recorded|gathered) == recorded|gathered {
		c.keys = append(c.keys, e.key)
	}
}

func (c *changes) posted(p *parcel) {
	if c.on {
		c.posts = append(c.posts, p)
	}
}

// delivered notes the end of a parcel, where storage has it.
func (c *changes) delivered(p *parcel) {
	if c.on && p.recorded {
		c.ends = append(c.ends, p.id)
	}
}

// encodeChanges encodes the changes and forgets them: removals and ends first, for what they name may have come
// again since.
func (s *shard) encodeChanges(r *records) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.changes
	for _, k := range c.keys {
		r.add(encodeRemoval(r.buf, k))
	}
	for _, slot := range c.slots {
		e := s.slab.at(slot)
		if e.state&dirty == 0 {
			continue // its slot was given back, or taken again and written already
		}
		e.state &^= dirty
		r.entry(e, s.table.rules[e.rule], s.heldBy(e), false)
	}
	for _, id := range c.ends {
		r.add(encodeEnd(r.buf, id))
	}
	for _, p := range c.posts {
		if s.waiting[p.id] == p {
			r.parcel(p)
		}
	}
	clear(c.posts)
	c.keys, c.slots, c.posts, c.ends = c.keys[:0], c.slots[:0], c.posts[:0], c.ends[:0]
}
