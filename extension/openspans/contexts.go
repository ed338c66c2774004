// This file is error contexts: what spans and processes hold, and how it is merged. Inner wins over outer,
// the later pushed over the earlier.

package openspans

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/foundation-agent/foundation-agent/internal/attr"
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

// spanContext is the error context that a span holds beyond its own attributes.
type spanContext struct {
	frames []*frame // pushed while it was on top, the earliest first
	// merged is what it and all around it held when it ended; nil until then, and where that was its own alone.
	merged *pcommon.Map
	bytes  int // of merged
}

// addContext notes that attributes of a half are error context.
func (t *table) addContext(e *entry, h *half) {
	if h.context && !e.ownContext {
		e.ownContext = true
		t.contexts++
	}
}

// putOwn puts into m what the span's own attributes hold of error context.
func (e *entry) putOwn(m pcommon.Map) {
	for _, b := range []*body{&e.more, &e.base} {
		putContext(m, b.attributes())
	}
}

// putContext puts into m those of a span's attributes that are error context.
func putContext(m, attributes pcommon.Map) {
	for k, v := range attributes.All() {
		if strings.HasPrefix(k, attr.ErrorContextPre) {
			putOneAbsent(m, k, v)
		}
	}
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
		}
		if e.ownContext {
			t.look(e)
			e.putOwn(m)
		}
		if e.state == leaving {
			return
		}
		e = t.outside(e, m)
	}
}

// outside returns the parent of a span, and puts into m what is pushed in the span's process where that is
// another process than the parent's.
func (t *table) outside(e *entry, m pcommon.Map) *entry {
	above := t.parentOf(e)
	if above == nil || above.process != e.process {
		putBase(m, e.process)
	}
	if above == e {
		return nil
	}
	return above
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

// freezeContext keeps what a span that ends and all around it amount to, where that is more than its own.
func (t *table) freezeContext(e *entry) {
	if t.contexts == 0 {
		return
	}
	more := e.context != nil && len(e.context.frames) > 0
	if !more {
		around := t.around
		around.RemoveIf(func(string, pcommon.Value) bool { return true })
		t.mergedOf(t.outside(e, around), around)
		for k := range around.All() {
			more = more || !e.says(k)
		}
	}
	if !more {
		t.dropContext(e)
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

// says reports whether a span has an attribute.
func (e *entry) says(k string) bool {
	if _, ok := e.base.attributes().Get(k); ok {
		return true
	}
	_, ok := e.more.attributes().Get(k)
	return ok
}

// lastContext is the context that a span left with, among the attributes of the bytes of a span; nil for none.
func (e *entry) lastContext() []byte {
	switch {
	case e.context != nil && e.context.merged != nil:
		return encodeValues(*e.context.merged)
	case !e.ownContext:
		return nil
	case e.more.empty():
		return e.base.pack()
	default: // its complete span passed
		own := pcommon.NewMap()
		e.putOwn(own)
		return encodeValues(own)
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
		if f.owner.context == nil {
			f.owner.context = &spanContext{}
			t.contexts++
		}
		f.owner.context.frames = append(f.owner.context.frames, f)
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
