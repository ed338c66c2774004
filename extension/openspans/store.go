// This file keeps the table in storage. Changes mark what they change; before each write the journal
// collects how that is now, so a span that starts and ends between two writes costs nothing.

package openspans

// collectStep is how many entries are looked at under one hold of the lock.
const collectStep = 256

// changes is what storage does not know yet.
type changes struct {
	entries   []*entry
	processes []*process
	downs     []downKey
}

// touch notes that an entry has changed.
func (t *table) touch(e *entry) {
	if t.persist && !e.dirty && !e.synthetic {
		e.dirty = true
		t.changed.entries = append(t.changed.entries, e)
	}
	if t.sinceBackup != nil && !e.synthetic {
		t.sinceBackup[e] = struct{}{}
	}
}

// touchProcess notes that a process's contexts or adopted parent have changed.
func (t *table) touchProcess(p *process) {
	if t.persist && !p.dirty {
		p.dirty = true
		t.changed.processes = append(t.changed.processes, p)
	}
}

// collect appends what has changed since the last call.
func (t *table) collect(add func([]byte)) {
	t.mu.Lock()
	c := t.changed
	t.changed = changes{}
	t.mu.Unlock()

	w := newRecords(add)
	for todo := c.entries; len(todo) > 0; {
		n := min(len(todo), collectStep)
		t.mu.Lock()
		for _, e := range todo[:n] {
			e.dirty = false
			w.change(t, e)
		}
		t.mu.Unlock()
		w.flush()
		todo = todo[n:]
	}
	t.mu.Lock()
	for _, p := range c.processes {
		p.dirty = false
		w.process(p)
	}
	t.mu.Unlock()
	for _, d := range c.downs {
		w.add(func(b []byte) []byte { return appendDown(b, d) })
	}
	w.flush()
}

// snapshot emits a record for all that is in the table. The lock is held for a step at a time, and not
// while emit runs.
func (t *table) snapshot(emit func([]byte) error) error {
	var failed error
	w := newRecords(func(b []byte) {
		if failed == nil {
			failed = emit(b)
		}
	})
	step := func(add func() (more bool)) {
		for more := true; more && failed == nil; {
			t.mu.Lock()
			more = add()
			t.mu.Unlock()
			w.flush()
		}
	}
	from := 0
	step(func() bool {
		for _, e := range t.slab[min(from, len(t.slab)):min(from+collectStep, len(t.slab))] {
			if e != nil && !e.synthetic {
				w.entry(e)
			}
		}
		from += collectStep
		return from < len(t.slab)
	})
	from = 0
	step(func() bool {
		for i := from; i < min(from+collectStep, t.ended.len); i++ {
			w.tombstone(*t.ended.at((t.ended.first + i) % t.ended.limit))
		}
		from += collectStep
		return from < t.ended.len
	})
	step(func() bool {
		w.rest(t)
		return false
	})
	return failed
}

// records gathers records under the table's lock, to be handed on outside it.
type records struct {
	emit   func([]byte)
	buffer []byte
	ends   []int // of the records in buffer
	shapes map[*shape]uint64
}

func newRecords(emit func([]byte)) *records {
	return &records{emit: emit, shapes: map[*shape]uint64{}}
}

func (w *records) add(appendTo func([]byte) []byte) {
	w.buffer = appendTo(w.buffer)
	w.ends = append(w.ends, len(w.buffer))
}

// flush hands on what was gathered.
func (w *records) flush() {
	from := 0
	for _, end := range w.ends {
		w.emit(w.buffer[from:end])
		from = end
	}
	w.buffer, w.ends = w.buffer[:0], w.ends[:0]
}

// change adds how an entry is now: also that it is no more.
func (w *records) change(t *table, e *entry) {
	switch {
	case e.state != gone:
		w.entry(e)
	case t.tombstone(e.key) != nil:
		w.tombstone(*t.tombstone(e.key))
	case t.live(e.key) == nil:
		w.add(func(b []byte) []byte { return appendForgotten(b, e.key) })
	}
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

// rest adds the contexts of processes and the deaths that were handled.
func (w *records) rest(t *table) {
	for _, a := range t.agents {
		for _, p := range a.processes {
			if len(p.frames) > 0 || p.adopted != nil {
				w.process(p)
			}
		}
	}
	for _, d := range t.handled.Keys() {
		if told, _ := t.handled.Peek(d); !told {
			continue // it is told again after a restart
		}
		w.add(func(b []byte) []byte { return appendDown(b, d) })
	}
}
