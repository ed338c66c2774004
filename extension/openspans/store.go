// This file keeps the table in storage. Changes mark what they change; before each write the journal
// collects how that is now, so a span that starts and ends between two writes costs nothing.

package openspans

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
		t.sinceBackup.entries[e] = struct{}{}
	}
}

// touchProcess notes that a process's contexts or adopted parent have changed.
func (t *table) touchProcess(p *process) {
	if t.persist && !p.dirty {
		p.dirty = true
		t.changed.processes = append(t.changed.processes, p)
	}
	if t.sinceBackup != nil {
		t.sinceBackup.processes[p] = struct{}{}
	}
}

// collect appends what has changed since the last call.
func (t *table) collect(add func([]byte)) {
	t.mu.Lock()
	c := t.changed
	t.changed = changes{}
	t.mu.Unlock()

	w := newRecords(t, func(b []byte) error { add(b); return nil })
	w.each(len(c.entries), func(i int) {
		c.entries[i].dirty = false
		w.change(c.entries[i])
	})
	w.each(len(c.processes), func(i int) {
		c.processes[i].dirty = false
		w.process(c.processes[i])
	})
	w.each(len(c.downs), func(i int) { w.down(c.downs[i]) })
}

// snapshot emits a record for all that is in the table. The lock is held for a step at a time, and not
// while emit runs.
func (t *table) snapshot(emit func([]byte) error) error {
	w := newRecords(t, emit)
	w.all()
	w.steps(func() bool { w.downs(); return false })
	return w.failed
}
