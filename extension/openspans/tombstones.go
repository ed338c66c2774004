// This file remembers which spans have ended: a late start does not open them again, a late end after a
// forced one is told apart, and late logs still find their error context.

package openspans

import (
	"time"
)

// tombstone is what is left of a span.
type tombstone struct {
	key
	ref     ref    // its place in the slab
	agent   string // whose it was
	ended   int64  // unix ns
	forced  bool
	context []byte // a span whose error context is served to late logs until it has lingered; nil for none
}

const tombstonePage = 1024

// tombstones is a ring of the latest, oldest first; its pages are made when they are first needed. Its
// owner guards it.
type tombstones struct {
	pages  []*[tombstonePage]tombstone
	limit  int // positions in the ring
	first  int // position of the oldest
	len    int
	ttl    time.Duration
	linger time.Duration
	// contexts counts those that hold a context; the oldest `settled` ones hold none any more.
	contexts, settled int
	contextBytes      int64
	maxContextBytes   int64
}

func newTombstones(cfg *Config) tombstones {
	pages := (cfg.MaxEnded + tombstonePage - 1) / tombstonePage
	return tombstones{
		pages:           make([]*[tombstonePage]tombstone, pages),
		limit:           cfg.MaxEnded,
		ttl:             cfg.EndedTTL,
		linger:          cfg.Context.Linger,
		maxContextBytes: int64(cfg.MaxMiB) << 20 / 16,
	}
}

// at returns the tombstone at a position of the ring.
func (s *tombstones) at(position int) *tombstone {
	page := &s.pages[position/tombstonePage]
	if *page == nil {
		*page = new([tombstonePage]tombstone)
	}
	return &(*page)[position%tombstonePage]
}

// add appends one and returns its position; drop is called for one that has to go.
func (s *tombstones) add(t tombstone, drop func(*tombstone)) (position int) {
	if s.len == s.limit {
		s.removeOldest(drop)
	}
	position = (s.first + s.len) % s.limit
	*s.at(position) = t
	s.len++
	if t.context != nil {
		s.contexts++
		s.contextBytes += int64(len(t.context))
		s.settle(func(*tombstone) bool { return s.contextBytes > s.maxContextBytes })
	}
	return position
}

// expire drops what is older than the TTL, and the contexts that have lingered.
func (s *tombstones) expire(now int64, drop func(*tombstone)) {
	for s.len > 0 && now-s.at(s.first).ended > int64(s.ttl) {
		s.removeOldest(drop)

	}
	s.settle(func(t *tombstone) bool { return now-t.ended > int64(s.linger) })

}

// settle takes contexts away, the oldest first, while they are to go.
func (s *tombstones) settle(goes func(*tombstone) bool) {
	for ; s.contexts > 0 && s.settled < s.len; s.settled++ {
		t := s.at((s.first + s.settled) % s.limit)
		if t.context == nil {
			continue
		}
		if !goes(t) {
			return
		}
		s.dropContext(t)
	}
}

func (s *tombstones) dropContext(t *tombstone) {
	if t.context != nil {
		s.contexts--
		s.contextBytes -= int64(len(t.context))
		t.context = nil
	}
}

func (s *tombstones) removeOldest(drop func(*tombstone)) {
	t := s.at(s.first)
	s.dropContext(t)
	drop(t)
	*t = tombstone{}
	s.first = (s.first + 1) % s.limit
	s.len--
	s.settled = max(s.settled-1, 0)
}
