// This file is the passage of complete spans: each is the end of the open span with its ids, if there is one.

package openspans

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// passage is one batch of complete spans between Pass and Done. One goroutine uses it.
type passage struct {
	table   *table
	claimed []*entry
	dooms   map[*entry]doom // what befell them meanwhile
	ended   []tombstone     // to be remembered though they were not open: a late start must not open them
}

// doom is a forced end that has to wait for the outcome of a passage.
type doom struct {
	reason reason
	at     int64
}

// Pass begins the passage of a batch.
func (t *table) Pass() spans.Passage { return &passage{table: t, dooms: map[*entry]doom{}} }

// Watching is one atomic load.
func (t *table) Watching() bool { return t.watched.Load() }

// Admit claims the open span that a complete one ends.
func (p *passage) Admit(s spans.Sender, span ptrace.Span) bool {
	t := p.table
	k := key{trace: span.TraceID(), span: span.SpanID()}
	t.mu.Lock()
	defer t.mu.Unlock()
	e, b := t.at(k)
	if e == nil && b == nil {
		if s.Proven() {
			p.ended = append(p.ended, tombstone{key: k, agent: s.Agent, ended: t.clock.now()})
		}
		return true
	}
	if b != nil {
		if b.agent != "" && b.agent != s.Agent {
			return true
		}
		t.countRepeat(b.forced)
		return false
	}
	switch {
	case !t.mayChange(s, e):
		return true
	case e.state == leaving || e.claims == p:
		t.countRepeat(e.state == leaving && e.reason != normal)
		return false
	case e.claims != nil: // on its way from another sender, which may yet fail
		return true
	}
	e.claims = p
	p.claimed = append(p.claimed, e)
	t.mergeInto(span, e)
	return true
}

// mergeInto gives a complete span the attributes that only the table knows of.
func (t *table) mergeInto(span ptrace.Span, e *entry) {
	putAbsent(span.Attributes(), e.more.attributes())
	if t.contexts > 0 {
		merged := pcommon.NewMap()
		t.mergedOf(e, merged)
		putAbsent(span.Attributes(), merged)
	}
}

// Done closes the entries of the spans that have passed, or gives them back.
func (p *passage) Done(err error) {
	t := p.table
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range p.claimed {
		e.claims = nil
		if err != nil {
			p.giveBack(e)
			continue
		}
		if !e.synthetic {
			t.stats.ends[normal].Add(1)
		}
		e.closed = t.clock.now()
		t.freezeContext(e)
		t.unlink(e)
		t.bury(e)
		t.touch(e)
	}
	if err == nil {
		for _, b := range p.ended {
			if !t.holds(b.key) {
				t.remember(b)
			}
		}
	}
}

// giveBack applies to an entry what befell it while its complete span was on its way.
func (p *passage) giveBack(e *entry) {
	t := p.table
	d, doomed := p.dooms[e]
	switch {
	case e.hasEnd:
		t.finish(e, normal, t.clock.now())
	case doomed:
		t.force(e, d.reason, d.at)
	default:
		t.schedule(e)
	}
}
