// This file is error contexts: what spans and processes hold, and how it is merged. Inner wins over outer,
// the later pushed over the earlier.

package openspans

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// frame is one pushed context. Its keys carry the prefix error_context.
type frame struct {
	owner  *entry // the span on top when it was pushed; nil for none
	values pcommon.Map
	bytes  int
	// dead: its span has ended, and the context with it. It keeps its place for the pop that is to come.
	dead bool
}

// spanContext is the error context that a span holds.
type spanContext struct {
	own    pcommon.Map // its attributes with the prefix
	frames []*frame    // pushed while it was on top, the earliest first
	// merged is what it and all around it held when it ended; nil until then, and for none.
	merged *pcommon.Map
	bytes  int // of own or merged
}

// contextOf returns an entry's context, made where absent.
func (t *table) contextOf(e *entry) *spanContext {
	if e.context == nil {
		e.context = &spanContext{own: pcommon.NewMap()}
		t.contexts++
	}
	return e.context
}

// addContext merges attributes of a half into the context of its span; nil for none. The account of
// memory is the caller's to keep.
func (t *table) addContext(e *entry, values *pcommon.Map) {
	if values == nil {
		return
	}
	c := t.contextOf(e)
	put(c.own, *values)
	c.bytes = sizeOf(c.own)
}

// mergedOf puts into m the context of a span: its own, its open ancestors', and what is pushed in their processes.
func (t *table) mergedOf(e *entry, m pcommon.Map) {
	for depth := 0; e != nil && depth < t.cfg.Context.MaxDepth; depth++ {
		if c := e.context; c != nil {
			if c.merged != nil { // it has ended: that is all there was around it
				putAbsent(m, *c.merged)
				return
			}
			putFrames(m, c.frames)
			putAbsent(m, c.own)
		}
		above := t.parentOf(e)
		if above == nil || above.process != e.process {
			putBase(m, e.process)
		}
		if above == e {
			return
		}
		e = above
	}
}

// mergedIn puts into m the context of a process: of the span on top of its stack and all around it.
func (t *table) mergedIn(p *process, m pcommon.Map) {
	if top := p.top(); top != nil {
		t.mergedOf(top, m)
	}
	putBase(m, p)
}

// putFrames merges pushed contexts, the latest first.
func putFrames(m pcommon.Map, frames []*frame) {
	for i := len(frames) - 1; i >= 0; i-- {
		putAbsent(m, frames[i].values)
	}
}

// putBase merges what a process pushed while no span was open.
func putBase(m pcommon.Map, p *process) {
	for i := len(p.frames) - 1; i >= 0; i-- {
		if f := p.frames[i]; f.owner == nil && !f.dead {
			putAbsent(m, p.frames[i].values)
		}
	}
	if p.adopted != nil {
		putAbsent(m, p.adopted.Context)
	}
}

// freezeContext replaces the context of a span that ends by what it and all around it amount to.
func (t *table) freezeContext(e *entry) {
	if t.contexts == 0 {
		return
	}
	merged := pcommon.NewMap()
	t.mergedOf(e, merged)
	t.dropContext(e)
	if merged.Len() > 0 {
		t.contexts++
		e.context = &spanContext{merged: &merged, bytes: sizeOf(merged)}
		t.held.bytes += int64(e.context.bytes) // it is accounted for as held until it is unlinked
	}
}

// dropContext takes a span's context away, and with it what was pushed inside the span.
func (t *table) dropContext(e *entry) {
	c := e.context
	if c == nil {
		return
	}
	for _, f := range c.frames {
		t.contexts--
		t.resize(e.process, f, 0)
		*f = frame{dead: true}
	}
	if len(c.frames) > 0 {
		t.touchProcess(e.process)
	}
	t.held.bytes -= int64(c.bytes)
	e.context = nil
	t.contexts--
}

// dropFrames takes away all that a process has pushed.
func (t *table) dropFrames(p *process) {
	for _, f := range p.frames {
		if f.dead {
			continue
		}
		if f.owner != nil {
			f.owner.context.frames = nil
		}
		t.contexts--
		t.resize(p, f, 0)
	}
	p.frames = nil
}

// push opens an inner context in a process.
func (t *table) push(p *process, values pcommon.Map) error {
	if len(p.frames) >= t.cfg.Context.MaxDepth {
		p.frames = slices.DeleteFunc(p.frames, func(f *frame) bool { return f.dead })
	}
	if len(p.frames) >= t.cfg.Context.MaxDepth {
		return spans.ErrTooDeep
	}
	if err := t.fits(p, sizeOf(values)); err != nil {
		return err
	}
	t.attach(p, &frame{owner: p.top(), values: values})
	t.touchProcess(p)
	return nil
}

// attach puts a frame on top of its process's.
func (t *table) attach(p *process, f *frame) {
	p.frames = append(p.frames, f)
	t.resize(p, f, sizeOf(f.values))
	t.contexts++
	if f.owner != nil {
		c := t.contextOf(f.owner)
		c.frames = append(c.frames, f)
	}
}

// pop closes the innermost context of a process.
func (t *table) pop(p *process) error {
	n := len(p.frames)
	if n == 0 {
		return spans.ErrNoContext
	}
	f := p.frames[n-1]
	p.frames[n-1] = nil
	p.frames = p.frames[:n-1]
	t.touchProcess(p)
	if f.dead {
		return nil
	}
	t.resize(p, f, 0)
	t.contexts--
	if f.owner != nil {
		c := f.owner.context
		c.frames = c.frames[:len(c.frames)-1]
	}
	return nil
}

// set merges values into the innermost context of a process, which is opened where there is none.
func (t *table) set(p *process, values pcommon.Map) error {
	f := p.innermostFrame()
	if f == nil {
		return t.push(p, values)
	}
	changed := pcommon.NewMap()
	f.values.CopyTo(changed)
	put(changed, values)
	size := sizeOf(changed)
	if err := t.fits(p, size-f.bytes); err != nil {
		return err
	}
	f.values = changed
	t.resize(p, f, size)
	t.touchProcess(p)
	return nil
}

// innermostFrame is the context that was pushed last and holds still; nil for none.
func (p *process) innermostFrame() *frame {
	for i := len(p.frames) - 1; i >= 0; i-- {
		if f := p.frames[i]; !f.dead {
			return f
		}
	}
	return nil
}

// adopt sets the remote parent of a process; nil takes it away.
func (t *table) adopt(p *process, parent *spans.Propagation) {
	if p.adopted != nil {
		t.contexts--
		t.contextBytes -= int64(sizeOf(p.adopted.Context))
	}
	if p.adopted = parent; parent != nil {
		t.contexts++
		t.contextBytes += int64(sizeOf(parent.Context))
	}
}

// fits reports whether a process's contexts may grow by so many bytes.
func (t *table) fits(p *process, more int) error {
	switch {
	case p.context+more > t.cfg.Context.MaxBytes:
		return spans.ErrTooLarge
	case t.held.bytes+t.contextBytes+int64(more) > t.maxBytes()/4*3:
		return spans.ErrFull
	}
	return nil
}

// resize keeps the accounts of a frame's size.
func (t *table) resize(p *process, f *frame, size int) {
	p.context += size - f.bytes
	t.contextBytes += int64(size - f.bytes)
	f.bytes = size
}
