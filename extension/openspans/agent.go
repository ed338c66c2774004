// This file is the index by agent and process: stacks, and whose span to evict.

package openspans

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// agent holds what one proven agent id has open; the one with an empty id is everyone else. The table's
// lock guards it.
type agent struct {
	id        string
	processes map[string]*process
	spans     int  // entries that are open or waiting
	leaves    list // those without open children, oldest first
}

// process is one process within an agent.
type process struct {
	agent *agent
	name  string
	stack list // open spans, the outermost first
	loose list // open spans of callers that keep their own parents, in the order of their starts
	held  int  // entries that belong to it, on the stack or not

	adopted *spans.Propagation // the remote parent of the first span; nil for none
	frames  []*frame           // pushed contexts, the outermost first
	context int                // bytes of frames
	idle    bool               // it stands among the idle
	dirty   bool               // frames or adopted changed since the last write to storage
	stored  bool               // storage knows frames or adopted
}

// top returns the innermost open span; nil for none.
func (p *process) top() *entry { return p.stack.tail }

// bare reports whether nothing but its name is left of the process.
func (p *process) bare() bool {
	return p.held == 0 && p.adopted == nil && len(p.frames) == 0
}

// find returns the process of a sender; nil where nothing of it is held.
func (t *table) find(s spans.Sender) *process {
	if a := t.agents[s.Agent]; a != nil {
		return a.processes[s.Process]
	}
	return nil
}

// processOf returns the process of a sender, made where absent.
func (t *table) processOf(s spans.Sender) *process {
	if p := t.recent; p != nil && p.name == s.Process && p.agent.id == s.Agent {
		return p
	}
	a := t.agents[s.Agent]
	if a == nil {
		a = &agent{id: s.Agent, processes: map[string]*process{}, leaves: list{kind: inLeaves}}
		t.agents[s.Agent] = a
	}
	p := a.processes[s.Process]
	if p == nil {
		p = &process{agent: a, name: s.Process, stack: list{kind: inOrder}, loose: list{kind: inOrder}}
		a.processes[s.Process] = p
	}
	t.recent = p
	return p
}

// settle forgets a process that holds nothing, and bounds those that hold contexts only.
func (t *table) settle(p *process) {
	switch {
	case p.bare():
		if !t.idle.Remove(p) { // else its eviction has it forgotten
			t.forget(p)
		}
	case p.held == 0:
		p.idle = true
		t.idle.Add(p, struct{}{}) // may push out the one that was silent longest
	case p.idle:
		p.idle = false
		t.idle.Remove(p)
	}
}

// forget drops a process and what it has pushed and adopted.
func (t *table) forget(p *process) {
	t.dropFrames(p)
	t.adopt(p, nil)
	if p.stored {
		t.touchProcess(p)
	}
	delete(p.agent.processes, p.name)
	if t.recent == p {
		t.recent = nil
	}
	if a := p.agent; len(a.processes) == 0 && t.agents[a.id] == a {
		delete(t.agents, a.id)
		if t.largest == a {
			t.largest = nil
		}
	}
}

// join puts an entry under the agent that it belongs to.
func (t *table) join(e *entry) {
	a := e.process.agent
	e.process.held++
	a.spans++
	a.leaves.push(e)
	e.inLeaf = true
	if t.largest == nil || a.spans > t.largest.spans {
		t.largest = a
	}
	t.settle(e.process)
}

// part is the inverse of join.
func (t *table) part(e *entry) {
	a := e.process.agent
	if e.inLeaf {
		a.leaves.remove(e)
		e.inLeaf = false
	}
	a.spans--
	e.process.held--
	t.settle(e.process)
}

// victim returns the span to evict when the table is full: the starter's own oldest where its agent holds
// its share or more, else the oldest of the agent that holds the most. nil when nothing is held.
func (t *table) victim(starter *agent) *entry {
	share := t.held.spans / max(len(t.agents), 1)
	if starter.spans > 0 && starter.spans >= share {
		return starter.leaves.head
	}
	if t.largest == nil || t.largest.spans < share {
		t.findLargest()
	}
	if t.largest == nil {
		return nil
	}
	return t.largest.leaves.head
}

// findLargest looks at every agent. It is needed only after the largest has lost so many spans that it
// holds less than its share, so what it costs is paid for by those ends.
func (t *table) findLargest() {
	t.largest = nil
	for _, a := range t.agents {
		if a.spans > 0 && (t.largest == nil || a.spans > t.largest.spans) {
			t.largest = a
		}
	}
}

// parentOf finds the parent of an entry; nil where the table does not hold it.
func (t *table) parentOf(e *entry) *entry {
	if e.above != nil && e.above.state != gone {
		return e.above
	}
	if e.parent == (pcommon.SpanID{}) {
		return nil
	}
	return t.live(key{trace: e.trace, span: e.parent})
}

// countChild keeps a parent out of the leaves while its child is open.
func (t *table) countChild(e *entry) {
	if p := t.parentOf(e); p != nil && p.state == open && p != e {
		e.above = p
		p.children++
		if p.inLeaf {
			p.owner().leaves.remove(p)
			p.inLeaf = false
		}
	}
}

// discountChild is the inverse of countChild.
func (t *table) discountChild(e *entry) {
	p := e.above
	e.above = nil
	if p != nil && p.state == open {
		if p.children = max(p.children-1, 0); p.children == 0 && !p.inLeaf {
			p.owner().leaves.push(p)
			p.inLeaf = true
		}
	}
}
