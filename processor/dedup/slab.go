// This file holds the entries: a few words a key, without pointers, in chunks that never move.

package dedup

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Kinds of entries.
const (
	kindKey   = iota // an event's key and its window
	kindBatch        // records that become one summary
	kindCarry        // dropped weight that waits for a record to ride on
)

// Bits of entry.state.
const (
	inFlight = 1 << iota // a first is with the next consumer; its answer decides
	open                 // the first has left: further events are suppressed
	leads                // it left in the present window, so the summary's log_count includes it
	dirty                // changed since the last write
	gathered             // held something once, or was evicted: storage must forget it
	recorded             // storage has something of it
)

// entry is 56 bytes: what a unique event costs, with eight more in the index.
type entry struct {
	key          key
	start        int64  // unix ns at which the present window began; unique among the windows of a shard
	length       uint32 // of the window, ms
	held         uint32 // in shard.helds, 0 for none
	newer, older uint32 // LRU
	wheelNext    uint32 // wheel
	wheelPrev    uint32
	bucket       uint16 // of the wheel, noBucket when in none
	rule         uint16
	kind         uint8
	state        uint8
}

func (e *entry) end() int64 { return e.start + int64(e.length)*1e6 }

const (
	chunkShift = 12 // 4,096 entries: 224 KiB
	chunkMask  = 1<<chunkShift - 1
	chunkBytes = entryBytes << chunkShift
)

// slab hands out slots, from 1. Its chunks are mapped beside the garbage collector's heap: a million keys there
// would let the heap grow by twice their size before it is collected, though entries hold nothing to collect.
type slab struct {
	chunks [][]entry
	next   uint32 // never handed out yet
	free   uint32 // list through entry.wheelNext
}

const entryBytes = int(unsafe.Sizeof(entry{}))

func newSlab() *slab { return &slab{next: 1} }

func (s *slab) at(slot uint32) *entry { return &s.chunks[slot>>chunkShift][slot&chunkMask] }

func (s *slab) take() uint32 {
	if slot := s.free; slot != 0 {
		s.free = s.at(slot).wheelNext
		return slot
	}
	slot := s.next
	if int(slot>>chunkShift) == len(s.chunks) {
		s.chunks = append(s.chunks, s.newChunk())
	}
	s.next++
	return slot
}

// newChunk maps memory that is given back when the slab is no longer reachable.
func (s *slab) newChunk() []entry {
	raw, err := unix.Mmap(-1, 0, chunkBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil { // no more mappings: the heap does as well
		return make([]entry, 1<<chunkShift)
	}
	runtime.AddCleanup(s, func(raw []byte) { _ = unix.Munmap(raw) }, raw)
	return unsafe.Slice((*entry)(unsafe.Pointer(unsafe.SliceData(raw))), 1<<chunkShift)
}

func (s *slab) give(slot uint32) {
	*s.at(slot) = entry{wheelNext: s.free}
	s.free = slot
}

// bytes that the slab takes.
func (s *slab) bytes() int64 { return int64(len(s.chunks) * chunkBytes) }
