// This file reads a stored table, from storage at the start or from a backup.

package openspans

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// image is a stored table, read but not yet part of the one that lives.
type image struct {
	entries   map[key]*storedEntry
	shapes    map[uint64]shapeKey // by the ids that the records read last have
	shapeOf   map[*storedEntry]shapeKey
	ended     []tombstone
	processes map[spans.Sender]storedProcess
	downs     []downKey
}

func newImage() *image {
	return &image{
		entries:   map[key]*storedEntry{},
		shapes:    map[uint64]shapeKey{},
		shapeOf:   map[*storedEntry]shapeKey{},
		processes: map[spans.Sender]storedProcess{},
	}
}

// read takes in one record. It keeps nothing of b.
func (im *image) read(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: empty", errRecord)
	}
	switch kind, b := b[0], b[1:]; kind {
	case recordShape:
		id, k, err := readShape(b)
		im.shapes[id] = k
		return err
	case recordEntry:
		return im.readEntry(b)
	case recordTombstone:
		t, err := readTombstone(b)
		delete(im.entries, t.key)
		im.ended = append(im.ended, t)
		return err
	case recordForgotten:
		k, err := readKey(b)
		delete(im.entries, k)
		return err
	case recordProcess:
		p, err := readProcess(b)
		im.processes[spans.Sender{Agent: p.agent, Process: p.name}] = p
		return err
	case recordDown:
		d, err := readDown(b)
		im.downs = append(im.downs, d)
		return err
	default:
		return fmt.Errorf("%w: kind %q", errRecord, kind)
	}
}

func (im *image) readEntry(b []byte) error {
	e, err := readEntry(b)
	if err != nil {
		return err
	}
	k, known := im.shapes[e.shapeID]
	if !known {
		return fmt.Errorf("%w: an entry names a resource that was not stored", errRecord)
	}
	if old := im.entries[e.key]; old != nil {
		delete(im.shapeOf, old)
	}
	im.entries[e.key] = e
	im.shapeOf[e] = k
	return nil
}

// apply adds an image to the table: what the table knows already, and what has ended, stays as it is.
func (t *table) apply(im *image) (a added) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortFunc(im.ended, func(a, b tombstone) int { return cmp.Compare(a.ended, b.ended) })
	for _, b := range im.ended {
		if !t.holds(b.key) && t.clock.now()-b.ended <= int64(t.cfg.EndedTTL) {
			t.remember(b)
		}
	}
	for _, s := range im.inOrder() {
		if !t.holds(s.key) {
			a.entries = append(a.entries, t.revive(s, im.shapeOf[s]))
		}
	}
	for s, p := range im.processes {
		if p := t.reviveProcess(s, p); p != nil {
			a.processes = append(a.processes, p)
		}
	}
	for _, d := range im.downs {
		t.handled.Add(d, true)
	}
	t.signal()
	return a
}

// added is what an image has brought into the table.
type added struct {
	entries   []*entry
	processes []*process // by their contexts
}

// withdraw takes out again what apply has added: the spans that are still open or waiting, with their contexts. What
// had ended is on its way, and stays known to have.
func (t *table) withdraw(a added) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range a.processes {
		if t.find(spans.Sender{Agent: p.agent.id, Process: p.name}) != p {
			continue
		}
		t.dropFrames(p)
		t.adopt(p, nil)
		t.touchProcess(p)
		t.settle(p)
	}
	for _, e := range a.entries {
		if (e.state == open || e.state == waiting) && e.claims == nil {
			t.drop(e)
		}
	}
}

// inOrder returns the entries as they have to be added: what has ended first, in the order in which it is
// to leave, then the open ones as they were started.
func (im *image) inOrder() []*storedEntry {
	ended := func(s *storedEntry) int {
		if s.state == leaving {
			return 0
		}
		return 1
	}
	return slices.SortedFunc(maps.Values(im.entries), func(a, b *storedEntry) int {
		if c := cmp.Compare(ended(a), ended(b)); c != 0 {
			return c
		}
		if a.state == leaving {
			return cmp.Or(cmp.Compare(a.closed, b.closed), cmp.Compare(b.seq, a.seq))
		}
		return cmp.Compare(a.seq, b.seq)
	})
}

// revive adds an entry that was stored.
func (t *table) revive(s *storedEntry, k shapeKey) *entry {
	e := &s.entry
	e.shape = t.shapes.take(k)
	was := e.state
	e.state = waiting
	if e.ownContext {
		t.contexts++
	}
	if e.context != nil {
		t.contexts++
	}
	t.admit(e, t.processOf(spans.Sender{Agent: s.agent, Process: s.process}))
	if was == waiting {
		t.schedule(e)
		return e
	}
	t.seq++
	e.state, e.seq = open, t.seq
	if was == leaving {
		t.releave(e)
		return e
	}
	t.countChild(e)
	if s.stacked || s.loose {
		t.stand(e, s.stacked)
	}
	e.heard = t.clock.now() // nobody could be heard meanwhile
	t.schedule(e)
	return e
}

// releave puts an entry back among those that are leaving, as it was.
func (t *table) releave(e *entry) {
	t.unlink(e)
	e.state = leaving
	t.out.add(e)
	t.leaving.push(e)
}

// reviveProcess gives a process the contexts that were stored, and returns it; nil where it has some by now.
func (t *table) reviveProcess(s spans.Sender, from storedProcess) *process {
	if len(from.frames) == 0 && from.adopted == nil {
		return nil
	}
	p := t.processOf(s)
	defer t.settle(p)
	p.stored = true
	if len(p.frames) > 0 || p.adopted != nil {
		return nil
	}
	for _, f := range from.frames {
		if f.dead {
			p.frames = append(p.frames, &frame{dead: true})
			continue
		}
		owner := t.live(f.owner)
		if owner != nil && owner.state != open {
			owner = nil
		}
		t.attach(p, &frame{owner: owner, values: f.values})
	}
	t.adopt(p, from.adopted)
	return p
}
