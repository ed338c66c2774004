// This file gives log records the error context that they were written in.

package openspans

import (
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// Enrich adds the context of the span that a record names, or else of its process; the record's own
// attributes win. A record of a proven process without ids gains those of the span on top. A record
// outside any span costs one lookup.
func (t *table) Enrich(s spans.Sender, record plog.LogRecord) bool {
	s, k := writer(s, record)
	t.mu.Lock()
	gained := t.enrich(s, k, record)
	t.mu.Unlock()
	if gained {
		t.stats.enrichments.Add(1)
	}
	return gained
}

// WouldEnrich reports whether Enrich would add something, and adds nothing.
func (t *table) WouldEnrich(s spans.Sender, record plog.LogRecord) bool {
	trial := plog.NewLogRecord()
	record.CopyTo(trial)
	s, k := writer(s, record)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.enrich(s, k, trial)
}

// writer is the process that a record says it comes from, where that is proven, and the span that it names.
func writer(s spans.Sender, record plog.LogRecord) (spans.Sender, key) {
	if s.Proven() {
		if p, ok := record.Attributes().Get(attr.Process); ok {
			s.Process = p.AsString()
		}
	}
	return s, key{trace: record.TraceID(), span: record.SpanID()}
}

func (t *table) enrich(s spans.Sender, k key, record plog.LogRecord) bool {
	if !k.span.IsEmpty() {
		if found, gained := t.enrichBySpan(s, k, record); found {
			return gained
		}
	}
	if !s.Proven() {
		return false
	}
	p := t.find(s)
	if p == nil {
		return false
	}
	before := record.Attributes().Len()
	t.mergedIn(p, record.Attributes())
	gained := record.Attributes().Len() > before
	if top, ok := p.innermost(); ok && k.trace.IsEmpty() && k.span.IsEmpty() {
		record.SetTraceID(top.trace)
		record.SetSpanID(top.span)
		gained = true
	}
	return gained
}

// enrichBySpan uses the span that a record names. found is false where the table does not know it.
func (t *table) enrichBySpan(s spans.Sender, k key, record plog.LogRecord) (found, gained bool) {
	e, b := t.at(k)
	if e == nil && b == nil {
		return false, false
	}
	attributes := record.Attributes()
	if b != nil {
		if b.context == nil || !t.maySee(s, b.agent) {
			return true, false
		}
		before := attributes.Len()
		if span, err := decodeSpan(b.context); err == nil {
			putContext(attributes, span.Attributes())
		}
		return true, attributes.Len() > before
	}
	if t.contexts == 0 {
		return true, false
	}
	if !t.maySee(s, e.owner().id) {
		return true, false
	}
	before := attributes.Len()
	t.mergedOf(e, attributes)
	return true, attributes.Len() > before
}

// maySee reports whether a sender's records may gain the context of an agent's spans.
func (t *table) maySee(s spans.Sender, owner string) bool {
	if owner != "" && owner != s.Agent {
		t.stats.untrusted.Add(1)
		return false
	}
	return true
}
