// This file is the index: from the ids of a span to its place in the table.

package openspans

import "hash/maphash"

// ref is the number of a place; 0 is none. A span keeps its place from its first half until it is forgotten.
type ref uint32

// place holds an entry, or says where its tombstone is.
type place struct {
	key
	entry *entry
	ended int32 // 1 + the position of the tombstone, where there is no entry
}

// index finds places by keys. It is a hash table with open addressing and linear probing (Knuth, The Art of Computer
// Programming 3, 6.4, algorithms L and R): what a search reads of it lies side by side. A Go map of 100,000 keys
// follows two pointers first, and each misses the processor's cache. Its owner guards it.
type index struct {
	seed   maphash.Seed
	slots  []slot // a power of two of them, at least a quarter free
	places []place
	free   []ref
	len    int
}

// slot is one of the hash table: free where the place is 0.
type slot struct {
	hash  uint32
	place ref
}

const minSlots = 64

func newIndex() index {
	return index{seed: maphash.MakeSeed(), slots: make([]slot, minSlots), places: make([]place, 1)}
}

func (x *index) hash(k key) uint32 {
	var b [len(k.trace) + len(k.span)]byte
	copy(b[:], k.trace[:])
	copy(b[len(k.trace):], k.span[:])
	return uint32(maphash.Bytes(x.seed, b[:]))
}

func (x *index) mask() uint32 { return uint32(len(x.slots) - 1) }

// find returns the place of a key; 0 where it has none.
func (x *index) find(k key) ref {
	h := x.hash(k)
	for i := h & x.mask(); ; i = (i + 1) & x.mask() {
		s := x.slots[i]
		if s.place == 0 || s.hash == h && x.places[s.place].key == k {
			return s.place
		}
	}
}

// reserve gives a key that has none a place.
func (x *index) reserve(k key) (r ref) {
	if n := len(x.free); n > 0 {
		r, x.free = x.free[n-1], x.free[:n-1]
	} else {
		r = ref(len(x.places))
		x.places = append(x.places, place{})
	}
	x.places[r].key = k
	if x.len++; 4*x.len > 3*len(x.slots) {
		smaller := x.slots
		x.slots = make([]slot, 2*len(smaller))
		for _, s := range smaller {
			x.enter(s)
		}
	}
	x.enter(slot{hash: x.hash(k), place: r})
	return r
}

// enter puts a slot where searches find it.
func (x *index) enter(s slot) {
	if s.place == 0 {
		return
	}
	i := s.hash & x.mask()
	for x.slots[i].place != 0 {
		i = (i + 1) & x.mask()
	}
	x.slots[i] = s
}

// vacate is the inverse of reserve.
func (x *index) vacate(k key, r ref) {
	i := x.hash(k) & x.mask()
	for x.slots[i].place != r {
		i = (i + 1) & x.mask()
	}
	for j := i; ; {
		j = (j + 1) & x.mask()
		s := x.slots[j]
		if s.place == 0 {
			break
		}
		if fromHome := (j - s.hash) & x.mask(); fromHome >= (j-i)&x.mask() { // it is found at i as well
			x.slots[i] = s
			i = j
		}
	}
	x.slots[i] = slot{}
	x.places[r] = place{}
	x.free = append(x.free, r)
	x.len--
}

// rebuild makes the hash table anew from the places, which are right.
func (x *index) rebuild() {
	clear(x.slots)
	for r, p := range x.places {
		if p.entry != nil || p.ended != 0 {
			x.enter(slot{hash: x.hash(p.key), place: ref(r)})
		}
	}
}
