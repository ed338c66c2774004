// This file is the stacks: which parent a start gets, and which span a call without ids is about.

package openspans

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// place decides the trace and the parent of a start by its process's stack. The span to link to is
// returned where it belongs to another trace than the one on top.
func (t *table) place(s spans.Sender, p *process, h *half, managed bool) (linkTo *key, err error) {
	hasParent := !h.parent.IsEmpty()
	if hasParent && h.trace.IsEmpty() {
		if h.trace = p.traceOf(h.parent); h.trace.IsEmpty() {
			return nil, spans.ErrMalformed
		}
		return nil, nil
	}
	if hasParent || h.unstacked || !s.Proven() || !managed {
		return nil, nil
	}
	above, ok := p.innermost()
	switch {
	case !ok || above.span == h.span:
		return nil, nil
	case h.trace.IsEmpty() || h.trace == above.trace:
		h.trace, h.parent = above.trace, above.span
		return nil, nil
	default:
		return &above, nil
	}
}

// innermost is the span that a new one of the process is written in: the top of its stack, or the adopted parent.
func (p *process) innermost() (key, bool) {
	if top := p.top(); top != nil {
		return top.key, true
	}
	if p.adopted != nil {
		return key{trace: p.adopted.TraceID, span: p.adopted.SpanID}, true
	}
	return key{}, false
}

// traceOf returns the trace of a span on the process's stack, or of its adopted parent; zero where it is neither.
func (p *process) traceOf(span pcommon.SpanID) pcommon.TraceID {
	for e := p.top(); e != nil; e = p.stack.before(e) {
		if e.span == span {
			return e.trace
		}
	}
	if p.adopted != nil && p.adopted.SpanID == span {
		return p.adopted.TraceID
	}
	return pcommon.TraceID{}
}

// stand puts an open span on its process's stack, or among its loose ones.
func (t *table) stand(e *entry, stacked bool) {
	e.among = &e.process.loose
	if stacked {
		e.among = &e.process.stack
		t.stats.sawDepth(e.among.len + 1)
	}
	e.among.push(e)
}

// complete fills in the ids that an end or an update left out, from its process's stack.
func (t *table) complete(s spans.Sender, h *half) error {
	if !s.Proven() {
		return spans.ErrUnproven
	}
	p := t.find(s)
	if p == nil || p.top() == nil {
		t.stats.orphanEnds.Add(1)
		return spans.ErrNothingOpen
	}
	if h.span.IsEmpty() {
		h.span = p.top().span
	}
	trace := p.traceOf(h.span)
	if trace.IsEmpty() || !h.trace.IsEmpty() && h.trace != trace {
		t.stats.orphanEnds.Add(1)
		return spans.ErrNothingOpen
	}
	h.trace = trace
	return nil
}
