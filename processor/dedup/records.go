// This file gathers encoded records while a shard is locked, to be handed on when it is not.

package dedup

import (
	"encoding/binary"
	"iter"
)

// records are encoded in a row. Keys whose first has left and that hold nothing, which is most of a table of unique
// events, go together as a run: one record.
type records struct {
	buf  []byte
	ends []int // in buf, of the records that are whole

	running bool // the last record is a run, and not whole
	rule    uint64
	length  uint32
	start   int64 // of the run's last key
}

// runBytes is about what a key of a run takes.
const runBytes = 18

// maxRun bounds a run, and with it what one damaged record takes along.
const maxRun = 4 << 10

// add takes buf with one more record, of any kind but a run.
func (r *records) add(buf []byte) {
	r.endRun()
	r.buf = buf
	r.ends = append(r.ends, len(buf))
}

// entry adds an entry of a rule. What a dry run counts has left already: stored, it would leave once more when the
// rule is put in force.
func (r *records) entry(e *entry, of *rule, h *held, whole bool) {
	if of.dryRun {
		return
	}
	e.state |= recorded
	if h != nil || e.kind != kindKey || e.state&(open|leads) != open|leads {
		r.add(encodeEntry(r.buf, e, of.id, h, whole))
		return
	}
	if r.running && (of.id != r.rule || e.length != r.length || len(r.buf)-r.lastEnd() > maxRun) {
		r.endRun()
	}
	if !r.running {
		r.running, r.rule, r.length, r.start = true, of.id, e.length, 0
		r.buf = encodeRun(r.buf, of.id, e.length)
	}
	r.buf = binary.AppendVarint(appendKey(r.buf, e.key), e.start-r.start)
	r.start = e.start
}

func (r *records) parcel(p *parcel) {
	p.recorded = true
	r.add(encodeParcel(r.buf, p))
}

func (r *records) endRun() {
	if r.running {
		r.running = false
		r.ends = append(r.ends, len(r.buf))
	}
}

func (r *records) lastEnd() int {
	if n := len(r.ends); n > 0 {
		return r.ends[n-1]
	}
	return 0
}

// drain yields the records, each valid until the next, and leaves none.
func (r *records) drain() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		r.endRun()
		from := 0
		for _, end := range r.ends {
			if !yield(r.buf[from:end]) {
				return
			}
			from = end
		}
		r.buf, r.ends = r.buf[:0], r.ends[:0]
	}
}
