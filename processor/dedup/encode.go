// This file is the stored form of the state: what is written to the journal and into backups. Numbers are little
// endian. Records say what is, never a difference.

package dedup

import (
	"encoding/binary"
	"errors"
	"math"
)

// stateFormat is the version of the records.
const stateFormat = 1

// Kinds of records, each the first byte.
const (
	recordSecret = iota + 1
	recordTenant
	recordEntry
	recordRemoval
	recordParcel
	recordEnd
	recordSample
	recordReservoir
	recordRun
)

// How a held record is written: the journal repeats the counts at each change, the record once.
const (
	keptNone = iota
	keptHere
	keptBefore
)

var errTruncated = errors.New("record is damaged")

func encodeSecret(b []byte, s secret) []byte {
	return append(append(b, recordSecret), s[:]...)
}

func encodeTenant(b []byte, t *tenant) []byte {
	b = appendKey(append(b, recordTenant), t.id)
	b = binary.AppendUvarint(b, uint64(len(t.metadata)))
	for name, values := range t.metadata {
		b = appendText(b, name)
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			b = appendText(b, v)
		}
	}
	return b
}

func encodeEntry(b []byte, e *entry, rule uint64, h *held, whole bool) []byte {
	b = appendKey(append(b, recordEntry), e.key)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.start))
	b = binary.LittleEndian.AppendUint32(b, e.length)
	b = binary.LittleEndian.AppendUint64(b, rule)
	b = append(b, e.kind, e.state&(open|leads))
	if h == nil {
		return append(b, 0)
	}
	return appendHeld(append(b, 1), h, whole)
}

// encodeRun begins a run of keys of one rule and window; each key is followed by its start as the difference to that
// of the one before.
func encodeRun(b []byte, rule uint64, length uint32) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(append(b, recordRun), rule), length)
}

func encodeRemoval(b []byte, k key) []byte { return appendKey(append(b, recordRemoval), k) }

func encodeParcel(b []byte, p *parcel) []byte {
	b = appendKey(append(b, recordParcel), p.id.key)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.id.start))
	b = binary.LittleEndian.AppendUint64(b, p.rule.id)
	led := byte(0)
	if p.led {
		led = 1
	}
	return appendHeld(append(b, p.kind, led), p.held, true)
}

func encodeEnd(b []byte, id identity) []byte {
	return binary.LittleEndian.AppendUint64(appendKey(append(b, recordEnd), id.key), uint64(id.start))
}

func encodeSample(b []byte, rule uint64, place int, s *sample) []byte {
	b = binary.LittleEndian.AppendUint64(append(b, recordSample), rule)
	b = binary.AppendUvarint(b, uint64(place))
	b = appendFloats(b, s.weight)
	return appendKept(appendLanes(b, &s.lanes), s.kept)
}

func encodeReservoir(b []byte, rule uint64, seen, end int64, samples int) []byte {
	b = binary.LittleEndian.AppendUint64(append(b, recordReservoir), rule)
	b = binary.LittleEndian.AppendUint64(b, uint64(seen))
	b = binary.LittleEndian.AppendUint64(b, uint64(end))
	return binary.AppendUvarint(b, uint64(samples))
}

// appendHeld writes the kept record if whole, or if it was never written.
func appendHeld(b []byte, h *held, whole bool) []byte {
	b = appendFloats(b, h.weight, h.plain, h.summed, h.apart, h.leader)
	b = binary.AppendVarint(b, h.records)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.first))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.last))
	b = binary.AppendUvarint(b, uint64(len(h.aggregates)))
	for i := range h.aggregates {
		g := &h.aggregates[i]
		whole := byte(0)
		if g.whole {
			whole = 1
		}
		b = appendFloats(append(appendText(b, g.name), whole), g.sum, g.min, g.max)
	}
	b = appendLanes(b, &h.lanes)
	switch {
	case h.kept == nil:
		return append(b, keptNone)
	case !whole && h.written == h.kept:
		return append(b, keptBefore)
	}
	if !whole {
		h.written = h.kept
	}
	return appendKept(append(b, keptHere), h.kept)
}

func appendLanes(b []byte, l *lanes) []byte {
	b = appendKey(appendKey(b, l.carry), l.batch)
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(l.batchSize)), uint64(l.batchTimeout))
}

func appendKept(b []byte, k *kept) []byte {
	b = appendKey(appendKey(b, k.origin), k.tenant.id)
	return append(binary.AppendUvarint(b, uint64(len(k.bytes))), k.bytes...)
}

func appendKey(b []byte, k key) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, k.hi), k.lo)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendFloats(b []byte, all ...float64) []byte {
	for _, x := range all {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return b
}

// decoder reads a record back. After an error it reads zeros.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.b) {
		d.err = errTruncated
		return nil
	}
	taken := d.b[:n]
	d.b = d.b[n:]
	return taken
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) int64() int64   { return int64(d.uint64()) }
func (d *decoder) float() float64 { return math.Float64frombits(d.uint64()) }
func (d *decoder) key() key       { return key{d.uint64(), d.uint64()} }
func (d *decoder) id() identity   { return identity{d.key(), d.int64()} }
func (d *decoder) text() string   { return string(d.take(d.count())) }

// count reads a length, which cannot be more than what is left.
func (d *decoder) count() int {
	n, size := binary.Uvarint(d.b)
	if d.err != nil || size <= 0 || n > uint64(len(d.b)) {
		d.err = errTruncated
		return 0
	}
	d.b = d.b[size:]
	return int(n)
}

func (d *decoder) uvarint() uint64 {
	n, size := binary.Uvarint(d.b)
	if d.err != nil || size <= 0 {
		d.err = errTruncated
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) varint() int64 {
	n, size := binary.Varint(d.b)
	if d.err != nil || size <= 0 {
		d.err = errTruncated
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) lanes() lanes {
	return lanes{carry: d.key(), batch: d.key(), batchSize: uint32(d.uvarint()), batchTimeout: uint32(d.uvarint())}
}

func (d *decoder) kept(t *tenants) *kept {
	k := &kept{origin: d.key()}
	k.tenant = t.get(d.key())
	k.bytes = append([]byte(nil), d.take(d.count())...)
	return k
}

// held reads what an entry holds; before is what was read for it earlier.
func (d *decoder) held(t *tenants, before *held) *held {
	h := &held{weight: d.float(), plain: d.float(), summed: d.float(), apart: d.float(), leader: d.float(),
		records: d.varint(), first: d.int64(), last: d.int64()}
	for range d.count() {
		if d.err != nil {
			return nil
		}
		h.aggregates = append(h.aggregates, aggregate{name: d.text(), whole: d.byte() == 1, sum: d.float(), min: d.float(), max: d.float()})
	}
	h.lanes = d.lanes()
	switch d.byte() {
	case keptHere:
		h.kept = d.kept(t)
		h.written = h.kept
	case keptBefore:
		if before != nil {
			h.kept, h.written = before.kept, before.kept
		}
	}
	if h.weight > 0 && h.kept == nil {
		d.err = errTruncated
	}
	return h
}
