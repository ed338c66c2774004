// This file remembers records by their fingerprints: once, to know one that comes again, and then what event it is.
// Both are tables of fixed size in which the latest takes the place of another: what is forgotten is decoded, no more.

package wirededup

import (
	"encoding/binary"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/wire"
)

// fingerprint of a record's bytes, less its times. Seeds are made at each start, and leave the process in no form.
type fingerprint [2]uint64

func (f fingerprint) appendTo(b []byte) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, f[0]), f[1])
}

const (
	ways       = 4
	knownSlots = 1 << 14 // 128 KiB, and about 150 bytes for each that is taken
	seenSlots  = 1 << 16 // 512 KiB
)

// known is a record that has come at least twice.
type known struct {
	print fingerprint
	event wire.Event   // nil: such records always pass
	until atomic.Int64 // sieve.now, in ns: suppressed until then
}

// refresh asks for how long the event's records are suppressed.
func (k *known) refresh(now time.Duration) {
	if k.event == nil {
		return
	}
	if left := k.event.Suppressed(); left > 0 {
		k.until.Store(int64(now + left))
	}
}

// memory is safe for concurrent use.
type memory struct {
	seeds [2]maphash.Seed
	known [knownSlots]atomic.Pointer[known]
	seen  [seenSlots]atomic.Uint64
}

func newMemory() *memory {
	return &memory{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

func (m *memory) sum(b []byte) fingerprint {
	return fingerprint{maphash.Bytes(m.seeds[0], b), maphash.Bytes(m.seeds[1], b)}
}

// set returns the few slots that a record may be in: with one alone, of a thousand records sixty would take turns.
func (m *memory) set(f fingerprint) []atomic.Pointer[known] {
	at := f[0] % (knownSlots / ways) * ways
	return m.known[at : at+ways]
}

// find returns what is known of a record, nil if nothing.
func (m *memory) find(f fingerprint) *known {
	set := m.set(f)
	for i := range set {
		if k := set[i].Load(); k != nil && k.print == f {
			return k
		}
	}
	return nil
}

// learn puts k into a free slot, or in the place of another.
func (m *memory) learn(k *known) {
	set := m.set(k.print)
	for i := range set {
		if set[i].CompareAndSwap(nil, k) {
			return
		}
	}
	set[k.print[1]%ways].Store(k)
}

// again notes a record, and reports whether it was noted before.
func (m *memory) again(f fingerprint) bool {
	slot := &m.seen[f[0]%seenSlots]
	if slot.Load() == f[1] {
		return true
	}
	slot.Store(f[1])
	return false
}

// forget what is known: another table would not know it.
func (m *memory) forget() {
	for i := range m.known {
		m.known[i].Store(nil)
	}
}
