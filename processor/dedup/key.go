// This file turns what makes an event itself into a 128-bit key.
//
// The hash is HighwayHash with 128 bits of output (Alakuijala, Cox and Wassenberg, 2016), a keyed
// pseudo-random function: who does not know the secret cannot make two events collide.

package dedup

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/minio/highwayhash"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// key identifies an entry of the table.
type key struct{ hi, lo uint64 }

// secret keys the hash.
type secret [highwayhash.Size]byte

// sum hashes b, to which it adds zeros up to a whole block: the hash takes twice as long over a broken one. What is
// hashed tells its own length, so they make no two parts equal.
func (s *secret) sum(b []byte) key {
	if broken := len(b) % hashBlock; broken != 0 {
		b = append(b, zeros[broken:]...)
	}
	h := highwayhash.Sum128(b, s[:])
	return key{binary.LittleEndian.Uint64(h[:8]), binary.LittleEndian.Uint64(h[8:])}
}

const hashBlock = 32

var zeros [hashBlock]byte

// Domains keep keys of different kinds apart.
const (
	domainResource = iota + 1
	domainScope
	domainExplicit // event with a dedup_key
	domainContent  // event known by its content
	domainBatch
	domainCarry
	domainSummary // of a peer, by its identity
)

// field is a name and a value of a map, gathered to be sorted.
type field struct {
	name  string
	value pcommon.Value
}

// digest builds the bytes that are hashed, in buffers that are reused. Every part carries its length
// or type, so that different records never give the same bytes.
type digest struct {
	secret secret
	buf    []byte
	fields []field // a stack: each level of nesting sorts its own part
}

func (d *digest) begin(domain byte) { d.buf = append(d.buf[:0], domain) }

func (d *digest) sum() key { return d.secret.sum(d.buf) }

func (d *digest) key(k key) {
	d.buf = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(d.buf, k.hi), k.lo)
}

func (d *digest) number(n uint64) { d.buf = binary.LittleEndian.AppendUint64(d.buf, n) }

func (d *digest) text(s string) {
	d.buf = append(binary.AppendUvarint(d.buf, uint64(len(s))), s...)
}

func (d *digest) value(v pcommon.Value, ex *excluded) {
	d.buf = append(d.buf, byte(v.Type()))
	switch v.Type() {
	case pcommon.ValueTypeStr:
		d.text(v.Str())
	case pcommon.ValueTypeInt:
		d.number(uint64(v.Int()))
	case pcommon.ValueTypeDouble:
		d.number(math.Float64bits(v.Double()))
	case pcommon.ValueTypeBool:
		if v.Bool() {
			d.buf = append(d.buf, 1)
		} else {
			d.buf = append(d.buf, 0)
		}
	case pcommon.ValueTypeMap:
		d.object(v.Map(), ex)
	case pcommon.ValueTypeSlice:
		s := v.Slice()
		d.number(uint64(s.Len()))
		for i := range s.Len() {
			d.value(s.At(i), nil)
		}
	case pcommon.ValueTypeBytes:
		b := v.Bytes()
		d.number(uint64(b.Len()))
		for i := range b.Len() {
			d.buf = append(d.buf, b.At(i))
		}
	}
}

// object adds the fields of m, whatever order they are in.
func (d *digest) object(m pcommon.Map, ex *excluded) {
	from := len(d.fields)
	for name, v := range m.All() {
		d.fields = append(d.fields, field{name, v})
	}
	d.sorted(from, ex)
}

// sorted adds the fields gathered since from, by name, and drops them from the stack. Senders mostly keep one
// order, for which insertion sort costs one comparison a field.
func (d *digest) sorted(from int, ex *excluded) {
	fields := d.fields[from:]
	for i := 1; i < len(fields); i++ {
		for j := i; j > 0 && strings.Compare(fields[j].name, fields[j-1].name) < 0; j-- {
			fields[j], fields[j-1] = fields[j-1], fields[j]
		}
	}
	to := len(d.fields)
	for i := from; i < to; i++ { // by index: value may grow the stack
		f := d.fields[i]
		below, whole := ex.child(f.name)
		if whole {
			continue
		}
		d.text(f.name)
		d.value(f.value, below)
	}
	d.buf = append(d.buf, 0xff) // the end of the fields
	d.fields = d.fields[:from]
}

func (d *digest) resource(r pcommon.Resource, tenant key) key {
	d.begin(domainResource)
	d.key(tenant)
	d.object(r.Attributes(), nil)
	return d.sum()
}

func (d *digest) scope(s pcommon.InstrumentationScope) key {
	d.begin(domainScope)
	d.text(s.Name())
	d.text(s.Version())
	d.object(s.Attributes(), nil)
	return d.sum()
}
