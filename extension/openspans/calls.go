// This file is the table as applications and pipelines call it.

package openspans

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

var _ spans.Table = (*openSpans)(nil)

// StartSpan opens a span.
func (o *openSpans) StartSpan(s spans.Sender, in spans.Half) (spans.Ref, error) {
	if !o.calls.Enabled() {
		o.foresee(1, &in)
		return spans.Ref{}, spans.ErrDisabled
	}
	h := o.read(&s, in)
	t := o.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.full() {
		t.stats.refused.Add(1)
		return spans.Ref{}, spans.ErrFull
	}
	return t.counted(t.start(s, &h))
}

// EndSpan ends a span. With the calls switched off it still ends those that were opened before.
func (o *openSpans) EndSpan(s spans.Sender, in spans.Half) (spans.Ref, error) {
	h := o.read(&s, in)
	t := o.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if !o.calls.Enabled() && !t.knows(s, &h) {
		o.foresee(-1, nil)
		return spans.Ref{}, spans.ErrDisabled
	}
	return t.counted(t.end(s, &h))
}

// UpdateSpan changes a span. With the calls switched off it still changes those that were opened before.
func (o *openSpans) UpdateSpan(s spans.Sender, in spans.Half) (spans.Ref, error) {
	h := o.read(&s, in)
	t := o.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if !o.calls.Enabled() && !t.knows(s, &h) {
		o.foresee(0, nil)
		return spans.Ref{}, spans.ErrDisabled
	}
	return t.counted(t.update(s, &h))
}

// read takes a half apart, outside the lock.
func (o *openSpans) read(s *spans.Sender, in spans.Half) half {
	h := readHalf(in.Span)
	h.shape = shapeKeyOf(in)
	o.table.stats.stripped.Add(int64(h.stripped))
	if s.Process == "" {
		s.Process = h.process
	}
	return h
}

// knows reports whether an end or update concerns a span that is open.
func (t *table) knows(s spans.Sender, h *half) bool {
	if h.span.IsEmpty() {
		p := t.find(s)
		return p != nil && p.top() != nil
	}
	return t.live(h.key) != nil
}

// counted counts what was refused.
func (t *table) counted(r spans.Ref, err error) (spans.Ref, error) {
	if errors.Is(err, spans.ErrTooLarge) || errors.Is(err, spans.ErrMalformed) {
		t.stats.refused.Add(1)
	}
	return r, err
}

// TakeHalves takes the half spans of a pipeline in.
func (o *openSpans) TakeHalves(ctx context.Context, halves ptrace.Traces) error {
	t := o.table
	batch := batches.Get().(*[]senderHalf)
	defer batches.Put(batch)
	taken, starts := o.readHalves(ctx, halves, (*batch)[:0])
	defer func() {
		clear(taken)
		*batch = taken
	}()
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.stopTime()()
	if starts && t.full() {
		t.stats.refused.Add(int64(len(taken)))
		return spans.ErrFull
	}
	for i := range taken {
		if err := t.take(taken[i].sender, &taken[i].half); err != nil {
			t.logger.Debug("A half span was not taken", zap.Error(err))
		}
	}
	return nil
}

type senderHalf struct {
	sender spans.Sender
	half   half
}

// batches are for halves on their way into the table.
var batches = sync.Pool{New: func() any { return new([]senderHalf) }}

// readHalves appends halves, taken apart, outside the lock, and reports whether one of them is a start.
func (o *openSpans) readHalves(ctx context.Context, halves ptrace.Traces, taken []senderHalf) (_ []senderHalf, starts bool) {
	for _, rs := range halves.ResourceSpans().All() {
		sender := spans.Sender{}
		if id, ok := rs.Resource().Attributes().Get(attr.AgentID); ok {
			sender = o.Sender(ctx, id.AsString(), "")
		}
		for _, ss := range rs.ScopeSpans().All() {
			shape := shapeKeyOf(spans.Half{
				Resource: rs.Resource(), Scope: ss.Scope(),
				ResourceSchema: rs.SchemaUrl(), ScopeSchema: ss.SchemaUrl(),
			})
			for _, span := range ss.Spans().All() {
				h := readHalf(span)
				h.shape = shape
				o.table.stats.stripped.Add(int64(h.stripped))
				sender.Process = h.process
				h.unstacked = h.unstacked || h.process == "" // an SDK's, which keeps its own parents
				starts = starts || h.start != 0
				taken = append(taken, senderHalf{sender, h})
			}
		}
	}
	return taken, starts
}

// take applies one half by what it has of start and end.
func (t *table) take(s spans.Sender, h *half) (err error) {
	switch {
	case h.start != 0:
		_, err = t.counted(t.start(s, h))
	case h.end != 0:
		_, err = t.counted(t.end(s, h))
	default:
		_, err = t.counted(t.update(s, h))
	}
	return err
}

// Current returns the span on top, or the adopted parent.
func (o *openSpans) Current(s spans.Sender) (spans.Ref, error) {
	var ref spans.Ref
	err := o.inProcess(s, func(p *process) error {
		if top := p.top(); top != nil {
			ref = refOf(top)
		} else if p.adopted != nil {
			ref = spans.Ref{TraceID: p.adopted.TraceID, SpanID: p.adopted.SpanID}
		} else {
			return spans.ErrNothingOpen
		}
		return nil
	}, spans.ErrNothingOpen)
	return ref, err
}

// Propagate returns what Adopt takes in another process.
func (o *openSpans) Propagate(s spans.Sender) (spans.Propagation, error) {
	out := spans.Propagation{Sampled: true}
	err := o.inProcess(s, func(p *process) error {
		at, ok := p.innermost()
		if !ok {
			return spans.ErrNothingOpen
		}
		m := pcommon.NewMap()
		o.table.mergedIn(p, m)
		out.TraceID, out.SpanID, out.Context = at.trace, at.span, unprefixed(m)
		return nil
	}, spans.ErrNothingOpen)
	return out, err
}

// Adopt makes a remote span the parent of the process's next first span.
func (o *openSpans) Adopt(s spans.Sender, from spans.Propagation) error {
	from.Context = prefixed(from.Context)
	if sizeOf(from.Context) > o.cfg.Context.MaxBytes {
		return spans.ErrTooLarge
	}
	return o.changeProcess(s, func(p *process) error {
		if p.top() != nil {
			return spans.ErrStackInUse
		}
		o.table.adopt(p, &from)
		o.table.touchProcess(p)
		return nil
	})
}

// SetContext merges values into the innermost context.
func (o *openSpans) SetContext(s spans.Sender, values pcommon.Map) error {
	values = prefixed(values)
	return o.changeProcess(s, func(p *process) error { return o.table.set(p, values) })
}

// PushContext opens an inner context.
func (o *openSpans) PushContext(s spans.Sender, values pcommon.Map) error {
	values = prefixed(values)
	return o.changeProcess(s, func(p *process) error { return o.table.push(p, values) })
}

// PopContext closes the innermost context. It works with the calls switched off.
func (o *openSpans) PopContext(s spans.Sender) error {
	return o.inProcess(s, o.table.pop, spans.ErrNoContext)
}

// ClearContext removes all contexts. It works with the calls switched off.
func (o *openSpans) ClearContext(s spans.Sender) error {
	return o.inProcess(s, func(p *process) error {
		o.table.dropFrames(p)
		o.table.touchProcess(p)
		return nil
	}, nil)
}

// Context returns the merged error context of the process.
func (o *openSpans) Context(s spans.Sender) (pcommon.Map, error) {
	m := pcommon.NewMap()
	err := o.inProcess(s, func(p *process) error {
		o.table.mergedIn(p, m)
		return nil
	}, nil)
	return unprefixed(m), err
}

// inProcess does something with the sender's process; unknown is the error where nothing of it is held.
func (o *openSpans) inProcess(s spans.Sender, do func(*process) error, unknown error) error {
	if !s.Proven() {
		return spans.ErrUnproven
	}
	t := o.table
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.find(s)
	if p == nil {
		return unknown
	}
	defer t.settle(p)
	return do(p)
}

// changeProcess does something with the sender's process, which is made where nothing of it is held.
func (o *openSpans) changeProcess(s spans.Sender, do func(*process) error) error {
	if !o.calls.Enabled() {
		o.foresee(0, nil)
		return spans.ErrDisabled
	}
	if !s.Proven() {
		return spans.ErrUnproven
	}
	t := o.table
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.processOf(s)
	defer t.settle(p)
	return do(p)
}
