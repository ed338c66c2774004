// This file is what happens when the registry tells of a death: the open spans of the dead leave, children
// before parents, and an obituary after them.

package openspans

import (
	"cmp"
	"slices"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

// down ends what a dead agent, or a dead process of an agent, has left open.
func (t *table) down(d agents.Down) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.handled.Contains(downKeyOf(d)) {
		return
	}
	a := t.agents[d.AgentID]
	if d.Process != "" {
		if a != nil && a.processes[d.Process] != nil {
			p := a.processes[d.Process]
			t.endAll(p.orphans(t.clock.of(d.At)), processDown, t.clock.of(d.At))
			t.bereave(p)
		}
		return
	}
	t.buryAgent(a, d)
}

// buryAgent ends all that an agent's life has left, and sees to its obituary.
func (t *table) buryAgent(a *agent, d agents.Down) {
	at := t.clock.of(d.At)
	var left []*entry
	var last *process
	if a != nil {
		for _, p := range a.processes {
			left = append(left, p.orphans(at)...)
			if last == nil || p.lastSeq() > last.lastSeq() {
				last = p
			}
		}
	}
	parentsLast(left)
	o := t.newObituary(d, left, last)
	t.endAll(left, agentDown, at)
	if a != nil {
		for _, p := range a.processes {
			t.bereave(p)
		}
	}
	t.errors.Remove(d.AgentID)
	t.handled.Add(downKeyOf(d), false)
	tell := func() {
		t.events.Put(o)
		t.handled.Add(downKeyOf(d), true)
		t.changed.downs = append(t.changed.downs, downKeyOf(d))
	}
	if n := len(left); n > 0 && left[n-1].state == leaving {
		t.obituaries[left[n-1]] = tell
		return
	}
	tell()
}

// orphans returns the spans of a process that were open at a time. What came later belongs to another
// life of the same id.
func (p *process) orphans(at int64) []*entry {
	var left []*entry
	for _, l := range []*list{&p.stack, &p.loose} {
		for e := l.head; e != nil; e = l.after(e) {
			if e.opened <= at {
				left = append(left, e)
			}
		}
	}
	return left
}

// lastSeq is how lately a process opened a span that is open.
func (p *process) lastSeq() uint64 {
	last := uint64(0)
	for _, l := range []*list{&p.stack, &p.loose} {
		if l.tail != nil {
			last = max(last, l.tail.seq)
		}
	}
	return last
}

// bereave takes away the contexts of a process whose spans have been ended. One that has opened spans
// since lives again, and keeps them.
func (t *table) bereave(p *process) {
	if p.held > 0 {
		return
	}
	t.dropFrames(p)
	t.adopt(p, nil)
	t.touchProcess(p)
	t.settle(p)
}

// endAll ends spans, children before parents.
func (t *table) endAll(left []*entry, r reason, at int64) {
	parentsLast(left)
	for _, e := range left {
		t.force(e, r, at)
	}
}

// parentsLast sorts spans so that each comes before its parent: by depth among them, then the later first.
func parentsLast(left []*entry) {
	byKey := make(map[key]*entry, len(left))
	for _, e := range left {
		byKey[e.key] = e
	}
	depths := make(map[*entry]int, len(left))
	for _, e := range left {
		depthAmong(e, byKey, depths)
	}
	slices.SortFunc(left, func(a, b *entry) int {
		if c := cmp.Compare(depths[b], depths[a]); c != 0 {
			return c
		}
		return cmp.Compare(b.seq, a.seq)
	})
}

// depthAmong is how many ancestors of e are in byKey. Each entry is walked over once.
func depthAmong(e *entry, byKey map[key]*entry, depths map[*entry]int) {
	var path []*entry
	depth := -1
	for at := e; at != nil; at = byKey[key{trace: at.trace, span: at.parent}] {
		if d, known := depths[at]; known {
			depth = d
			break
		}
		depths[at] = 0 // a loop of parents ends here
		path = append(path, at)
	}
	for i := len(path) - 1; i >= 0; i-- {
		depth++
		depths[path[i]] = depth
	}
}
