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

func (c *changes) gone(e *entry) {
	if c.on {
		c.keys = append(c.keys, e.key)
	}
}

func (c *changes) posted(p *parcel) {
	if c.on {
		c.posts = append(c.posts, p)
	}
}

func (c *changes) delivered(id identity) {
	if c.on {
		c.ends = append(c.ends, id)
	}
}

// write encodes the changes and forgets them: removals and ends first, for what they name may have come again since.
func (s *shard) write(append func(record []byte), buf []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.changes
	for _, k := range c.keys {
		buf = encodeRemoval(buf[:0], k)
		append(buf)
	}
	for _, slot := range c.slots {
		e := s.slab.at(slot)
		if e.state&dirty == 0 {
			continue // its slot was given back, or taken again and written already
		}
		e.state &^= dirty
		buf = encodeEntry(buf[:0], e, s.table.rules[e.rule].id, s.heldBy(e), false)
		append(buf)
	}
	for _, id := range c.ends {
		buf = encodeEnd(buf[:0], id)
		append(buf)
	}
	for _, p := range c.posts {
		if s.waiting[p.id] == p {
			buf = encodeParcel(buf[:0], p)
			append(buf)
		}
	}
	clear(c.posts)
	c.keys, c.slots, c.posts, c.ends = c.keys[:0], c.slots[:0], c.posts[:0], c.ends[:0]
	return buf
}

// image encodes all that the shard holds, as records that the lengths tell apart.
func (s *shard) image(buf []byte, lengths []int) ([]byte, []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// From the one used longest ago on, so that a restore finds the same order of use.
	for slot := s.oldest; slot != 0; {
		e := s.slab.at(slot)
		from := len(buf)
		if e.state&(inFlight|open) != inFlight || e.held != 0 {
			buf = encodeEntry(buf, e, s.table.rules[e.rule].id, s.heldBy(e), true)
			lengths = append(lengths, len(buf)-from)
		}
		slot = e.newer
	}
	for _, p := range s.waiting {
		from := len(buf)
		buf = encodeParcel(buf, p)
		lengths = append(lengths, len(buf)-from)
	}
	return buf, lengths
}
