// This file is the rules of the halves: start, end and update, in any order, each as often as it comes.

package openspans

import (
	"bytes"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// start opens a span.
func (t *table) start(s spans.Sender, h *half) (spans.Ref, error) {
	if h.size > t.cfg.MaxSpanBytes {
		return spans.Ref{}, spans.ErrTooLarge
	}
	managed := t.managed() || h.synthetic // the self-check tries stacks with the flag off too
	p := t.processOf(s)
	defer t.settle(p)
	linkTo, err := t.place(s, p, h, managed)
	if err != nil {
		return spans.Ref{}, err
	}
	h.key.fill()
	known, ended := t.at(h.key)
	if known != nil {
		return t.startAgain(s, known, h, p, managed)
	}
	if ended != nil {
		t.stats.duplicates.Add(1)
		return spans.Ref{TraceID: h.trace, SpanID: h.span, ParentID: h.parent}, spans.ErrEnded
	}
	if linkTo != nil {
		link := h.said.Links().AppendEmpty()
		link.SetTraceID(linkTo.trace)
		link.SetSpanID(linkTo.span)
	}
	e := t.newEntry(h, p, managed)
	t.openEntry(e, h)
	return refOf(e), nil
}

// newEntry puts a half of an unknown span into the table, waiting.
func (t *table) newEntry(h *half, p *process, managed bool) *entry {
	now := t.now()
	e := &entry{
		key: h.key, parent: h.parent, duration: -1, opened: now, heard: now,
		managed: managed, synthetic: h.synthetic, shape: t.shapes.take(h.shape),
	}
	if h.start == 0 {
		e.more.span, e.moreSize = h.said, int32(h.size)
	} else {
		e.base.span, e.baseSize = h.said, int32(h.size)
	}
	t.addContext(e, h)
	t.admit(e, p)
	t.freshen(e)
	t.schedule(e)
	t.touch(e)
	return e
}

// openEntry makes an entry that was waiting an open one.
func (t *table) openEntry(e *entry, h *half) {
	t.seq++
	e.state, e.seq, e.start, e.parent = open, t.seq, h.start, h.parent
	e.hear(t, h)
	t.countChild(e)
	if e.owner().id != "" && e.managed {
		t.stand(e, !h.unstacked)
	}
	if !e.synthetic {
		t.stats.starts.Add(1)
	}
	t.schedule(e)
}

// hear notes that a half of the span came.
func (e *entry) hear(t *table, h *half) {
	e.heard = t.now()
	if h.heartbeat > 0 {
		e.heartbeat = h.heartbeat
	}
}

// startAgain is a start of a span that the table knows: late, a heartbeat, or a duplicate.
func (t *table) startAgain(s spans.Sender, e *entry, h *half, p *process, managed bool) (spans.Ref, error) {
	if !t.mayChange(s, e) {
		return spans.Ref{}, spans.ErrNotYours
	}
	switch {
	case e.state == leaving:
		t.stats.duplicates.Add(1)
		return refOf(e), spans.ErrEnded
	case e.state == waiting:
		t.grow(e, func() { t.rebase(e, h) })
		if e.state != waiting { // its own growth had it evicted
			return refOf(e), nil
		}
		t.rehome(e, p)
		e.managed = managed
		t.openEntry(e, h)
		if e.hasEnd {
			t.finish(e, normal, t.now())
		}
	case h.heartbeat > 0: // all that the span is by now: it takes the place of what its start said
		e.hear(t, h)
		t.schedule(e)
		said := body{span: h.said}
		if !bytes.Equal(e.base.pack(), said.pack()) {
			h.said, _ = said.open() // what was just packed can be read
			t.grow(e, func() { t.rebase(e, h) })
		}
	default:
		t.stats.duplicates.Add(1)
	}
	return refOf(e), nil
}

// rehome moves an entry to the process that its start came from.
func (t *table) rehome(e *entry, p *process) {
	if e.process != p {
		t.part(e)
		e.process = p
		t.join(e)
	}
}

// end ends a span.
func (t *table) end(s spans.Sender, h *half) (spans.Ref, error) {
	e, err := t.target(s, h)
	if err != nil {
		return spans.Ref{}, err
	}
	if e == nil {
		return t.endUnknown(s, h)
	}
	if e.state == leaving || e.hasEnd {
		t.countRepeat(e.reason != normal)
		return refOf(e), nil
	}
	t.grow(e, func() { t.merge(e, h) })
	if e.state == gone || e.state == leaving { // its own growth had it evicted
		return refOf(e), nil
	}
	e.hasEnd, e.end, e.duration = true, h.end, h.duration
	if e.state == open && e.claims == nil {
		t.finish(e, normal, t.now())
	}
	return refOf(e), nil
}

// endUnknown is an end whose start has not come: it waits for it.
func (t *table) endUnknown(s spans.Sender, h *half) (spans.Ref, error) {
	if _, b := t.at(h.key); b != nil {
		t.countRepeat(b.forced)
		return spans.Ref{TraceID: h.trace, SpanID: h.span}, nil
	}
	e, err := t.wait(s, h)
	if err != nil {
		return spans.Ref{}, err
	}
	e.hasEnd, e.end, e.duration = true, h.end, h.duration
	return refOf(e), nil
}

// update merges attributes, events and links.
func (t *table) update(s spans.Sender, h *half) (spans.Ref, error) {
	e, err := t.target(s, h)
	if err != nil {
		return spans.Ref{}, err
	}
	if e == nil {
		if _, b := t.at(h.key); b != nil {
			return spans.Ref{}, spans.ErrEnded
		}
		if e, err = t.wait(s, h); err != nil {
			return spans.Ref{}, err
		}
		return refOf(e), nil
	}
	if e.state == leaving {
		return spans.Ref{}, spans.ErrEnded
	}
	if int(e.baseSize+e.moreSize)+h.size > t.cfg.MaxSpanBytes {
		return spans.Ref{}, spans.ErrTooLarge
	}
	e.hear(t, h)
	t.schedule(e)
	t.grow(e, func() { t.merge(e, h) })
	t.freshen(e)
	return refOf(e), nil
}

// wait holds a half whose start has not come.
func (t *table) wait(s spans.Sender, h *half) (*entry, error) {
	if h.size > t.cfg.MaxSpanBytes {
		return nil, spans.ErrTooLarge
	}
	p := t.processOf(s)
	return t.newEntry(h, p, t.managed()), nil
}

// target finds the entry that an end or an update is about: nil where it is not known (yet).
func (t *table) target(s spans.Sender, h *half) (*entry, error) {
	if h.span.IsEmpty() || h.trace.IsEmpty() {
		if err := t.complete(s, h); err != nil {
			return nil, err
		}
	}
	e := t.live(h.key)
	if e != nil && !t.mayChange(s, e) {
		return nil, spans.ErrNotYours
	}
	return e, nil
}

// mayChange reports whether a sender may change an entry: one that a proven agent opened is its own.
func (t *table) mayChange(s spans.Sender, e *entry) bool {
	if owner := e.owner().id; owner != "" && owner != s.Agent {
		t.stats.untrusted.Add(1)
		return false
	}
	return true
}

// rebase makes a start what its span says at first.
func (t *table) rebase(e *entry, h *half) {
	e.base, e.baseSize = body{span: h.said}, int32(h.size)
	t.addContext(e, h)
}

// merge adds what a half says. Events and links that came before, in a request that was sent again, are
// left out; attributes may be said again, for the last one counts.
func (t *table) merge(e *entry, h *half) {
	t.addContext(e, h)
	if e.more.add(h.said) {
		t.stats.duplicates.Add(1)
		return
	}
	e.moreSize += int32(h.size)
}

// countRepeat counts an end of a span that has ended.
func (t *table) countRepeat(forced bool) {
	if forced {
		t.stats.lateEnds.Add(1)
	} else {
		t.stats.duplicates.Add(1)
	}
}
