// This file finds an entry's slot by its key: open addressing with linear probing and deletion by
// backward shift (Knuth, TAOCP 6.4, algorithms L and R). Eight bytes a bucket and no pointers; a Go map of the
// same keys takes four times that.

package dedup

// bucket holds a slot and the 32 bits of its key that decide where it wants to be. Slot 0 is empty.
type bucket struct{ tag, slot uint32 }

const bucketBytes = 8

type index struct {
	buckets []bucket // a power of two of them
	used    int
	warmed  uint32
}

const minBuckets = 64

func newIndex() index { return index{buckets: make([]bucket, minBuckets)} }

// find returns the slot of k, 0 if there is none.
func (x *index) find(k key, s *slab) uint32 {
	mask := uint32(len(x.buckets) - 1)
	tag := uint32(k.lo)
	for i := tag & mask; ; i = (i + 1) & mask {
		b := x.buckets[i]
		if b.slot == 0 {
			return 0
		}
		if b.tag == tag && s.at(b.slot).key == k {
			return b.slot
		}
	}
}

// warm reads the buckets in which the records at those positions will be looked up. In a big table each is a cache
// miss; here the processor waits for many of them at once, and not for one after the other.
func (x *index) warm(records []planned, positions []uint32) {
	mask := uint32(len(x.buckets) - 1)
	for _, i := range positions {
		x.warmed ^= x.buckets[uint32(records[i].key.lo)&mask].tag // kept, or the compiler would leave out the read
	}
}

// insert adds a key that is not there.
func (x *index) insert(k key, slot uint32) {
	if (x.used+1)*4 > len(x.buckets)*3 {
		x.grow()
	}
	x.place(bucket{uint32(k.lo), slot})
	x.used++
}

func (x *index) place(b bucket) {
	mask := uint32(len(x.buckets) - 1)
	i := b.tag & mask
	for x.buckets[i].slot != 0 {
		i = (i + 1) & mask
	}
	x.buckets[i] = b
}

func (x *index) grow() {
	old := x.buckets
	x.buckets = make([]bucket, 2*len(old))
	for _, b := range old {
		if b.slot != 0 {
			x.place(b)
		}
	}
}

// remove forgets a key that is there.
func (x *index) remove(k key, slot uint32) {
	mask := uint32(len(x.buckets) - 1)
	i := uint32(k.lo) & mask
	for x.buckets[i].slot != slot {
		i = (i + 1) & mask
	}
	for j := i; ; {
		j = (j + 1) & mask
		b := x.buckets[j]
		if b.slot == 0 {
			break
		}
		// b may fill the hole at i unless its home lies after i, cyclically.
		if (j-b.tag&mask)&mask >= (j-i)&mask {
			x.buckets[i] = b
			i = j
		}
	}
	x.buckets[i] = bucket{}
	x.used--
}
