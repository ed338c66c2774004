// This file gathers records under the table's lock, a step at a time, to be handed on outside it.

package openspans

import (
	"slices"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// What is gathered under one hold of the lock: so many items are looked at, and no more once there are so many
// bytes.
const (
	stepItems = 256
	stepBytes = 128 << 10
)

// records gathers records of a table.
type records struct {
	table  *table
	emit   func([]byte) error
	failed error // of emit: nothing is emitted after it
	pauses operator.Pauses

	buffer []byte
	ends   []int // of the records in buffer
	shapes map[*shape]uint64
	told   map[*process]bool // whose contexts are among the records
}

func newRecords(t *table, emit func([]byte) error) *records {
	return &records{table: t, emit: emit, shapes: map[*shape]uint64{}, told: map[*process]bool{}}
}

// steps calls next under the lock while there is more, and emits in between what it has gathered.
func (w *records) steps(next func() (more bool)) {
	for more := true; more && w.failed == nil; {
		w.pauses.Hold(&w.table.mu, func() {
			for n := 0; more && n < stepItems && !w.full(); n++ {
				more = next()
			}
		})
		w.flush()
	}
}

func (w *records) full() bool { return len(w.buffer) >= stepBytes }

// each calls item under the lock with the numbers below n, in steps.
func (w *records) each(n int, item func(i int)) {
	i := 0
	w.steps(func() (more bool) {
		if i < n {
			item(i)
			i++
		}
		return i < n
	})
}

// flush hands on what was gathered.
func (w *records) flush() {
	from := 0
	for _, end := range w.ends {
		if w.failed == nil {
			w.failed = w.emit(w.buffer[from:end])
		}
		from = end
	}
	w.buffer, w.ends = w.buffer[:0], w.ends[:0]
}

// all adds what is in the table, but for the deaths that were handled.
func (w *records) all() {
	w.buffer = slices.Grow(w.buffer, 2*stepBytes) // here: who allocates may have to help the collector
	w.entries()
	w.tombstones()
	w.idle()
}

func (w *records) entries() {
	t, at := w.table, 0
	w.steps(func() (more bool) {
		if at < len(t.index.places) {
			if e := t.index.places[at].entry; e != nil && !e.synthetic {
				w.entry(e)
				w.contexts(e.process)
			}
			at++
		}
		return at < len(t.index.places)
	})
}

// tombstones goes from the latest back: the oldest may be forgotten meanwhile, and what ends meanwhile is a change.
func (w *records) tombstones() {
	s := &w.table.ended
	position, older := -1, 0
	w.steps(func() (more bool) {
		switch left := (position - s.first + s.limit) % s.limit; {
		case position < 0:
			position, older = (s.first+s.len-1)%s.limit, s.len-1
		case left >= older: // forgotten
			return false
		default:
			older = left
		}
		if older < 0 {
			return false
		}
		w.tombstone(*s.at(position))
		position = (position - 1 + s.limit) % s.limit
		return older > 0
	})
}

// idle adds the contexts of processes that hold no span.
func (w *records) idle() {
	t := w.table
	var processes []*process
	w.pauses.Hold(&t.mu, func() { processes = t.idle.Keys() })
	w.each(len(processes), func(i int) { w.contexts(processes[i]) })
}

// change adds how an entry is now: also that it is no more.
func (w *records) change(e *entry) {
	if e.state != gone {
		w.entry(e)
		return
	}
	switch again, ended := w.table.at(e.key); {
	case ended != nil:
		w.tombstone(*ended)
	case again == nil:
		w.add(func(b []byte) []byte { return appendForgotten(b, e.key) })
	}
}

// contexts adds the contexts of a process that has some, once.
func (w *records) contexts(p *process) {
	if (len(p.frames) > 0 || p.adopted != nil) && !w.told[p] {
		w.told[p] = true
		w.process(p)
	}
}

// downs adds the deaths that were handled.
func (w *records) downs() {
	for _, d := range w.table.handled.Keys() {
		if told, _ := w.table.handled.Peek(d); told { // else it is told again after a restart
			w.down(d)
		}
	}
}

func (w *records) add(appendTo func([]byte) []byte) {
	w.buffer = appendTo(w.buffer)
	w.ends = append(w.ends, len(w.buffer))
}

func (w *records) entry(e *entry) {
	id, known := w.shapes[e.shape]
	if !known {
		id = uint64(len(w.shapes) + 1)
		w.shapes[e.shape] = id
		w.add(func(b []byte) []byte { return appendShape(b, id, e.shape) })
	}
	w.add(func(b []byte) []byte { return appendEntry(b, e, id) })
	e.stored = true
}

func (w *records) tombstone(b tombstone) {
	w.add(func(to []byte) []byte { return appendTombstone(to, b) })
}

func (w *records) process(p *process) {
	p.stored = len(p.frames) > 0 || p.adopted != nil
	w.add(func(b []byte) []byte { return appendProcess(b, p) })
}

func (w *records) down(d downKey) {
	w.add(func(b []byte) []byte { return appendDown(b, d) })
}
