// This file foresees what the flags would do while they are off: for a while after somebody asked, the calls that are
// refused are counted, and the spans that are held are looked at.

package openspans

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// previewFor is how long calls are counted after a question.
const previewFor = time.Minute

// preview is what was foreseen of the calls since somebody began to ask.
type preview struct {
	until atomic.Int64 // unix ns; past: nobody asks

	mu     sync.Mutex
	since  int64
	calls  int64 // that would have been recorded
	starts int64
	open   int64 // that would be held now
	bytes  int64 // of the starts
}

// ask has calls counted for a while from now on, anew if nobody had asked any more.
func (p *preview) ask(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until.Load() < now {
		p.since, p.calls, p.starts, p.open, p.bytes = now, 0, 0, 0, 0
	}
	p.until.Store(now + int64(previewFor))
}

// foresee counts a call that is refused because the flag is off. opens is 1 for a start, -1 for an end.
func (o *openSpans) foresee(opens int64, in *spans.Half) {
	p := &o.preview
	if until := p.until.Load(); until == 0 || until < o.table.clock.now() {
		return
	}
	size := int64(0)
	if in != nil {
		size = entryOverhead + int64((&ptrace.ProtoMarshaler{}).SpanSize(in.Span))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	p.open = max(0, p.open+opens)
	if opens > 0 {
		p.starts++
		p.bytes += size
	}
}

// Previews implements operator.Previewer: of the calls' flag and of the management's.
func (o operatorTable) Previews() []operator.Preview {
	return []operator.Preview{o.previewCalls(), o.previewManagement()}
}

func (o operatorTable) previewCalls() operator.Preview {
	answer := operator.Preview{Flag: o.cfg.CallsFlag}
	if o.openSpans.calls.Enabled() {
		answer.Summary = "span and context calls are taken: `foundation-agent tables info " + o.Name() + "` shows what is held"
		return answer
	}
	now := o.table.clock.now()
	o.preview.ask(now)
	p := &o.preview
	p.mu.Lock()
	defer p.mu.Unlock()
	watched := time.Duration(now - p.since).Round(time.Second)
	if p.calls == 0 {
		answer.Summary = fmt.Sprintf("no span or context call has come in the %s since somebody asked: ask again when some have", watched)
		return answer
	}
	held := int64(0)
	if p.starts > 0 {
		held = p.open * p.bytes / p.starts
	}
	answer.Summary = fmt.Sprintf("of %d span and context calls in %s all would be recorded; %d of the %d spans that they start would be open now and take about %d bytes",
		p.calls, watched, p.open, p.starts, held)
	answer.Detail = map[string]any{"calls": p.calls, "starts": p.starts, "open": p.open, "bytes": held}
	return answer
}

func (o operatorTable) previewManagement() operator.Preview {
	answer := operator.Preview{Flag: o.cfg.ManagementFlag}
	if o.table.managed() {
		answer.Summary = "stacks are kept and overdue spans are ended"
		return answer
	}
	f := o.table.unmanaged()
	answer.Summary = fmt.Sprintf("of %d spans that are open without management, %d would stand in the stacks of %d processes, and %d are overdue and would have been ended by force",
		f.spans, f.stacked, len(f.processes), f.overdue)
	answer.Detail = map[string]any{"spans": f.spans, "stacked": f.stacked, "processes": len(f.processes), "overdue": f.overdue}
	return answer
}

// forecast is what management would do to spans that came while it was off.
type forecast struct {
	spans, stacked, overdue int
	processes               map[*process]struct{}
}

// unmanaged looks at all entries, a step at a time.
func (t *table) unmanaged() forecast {
	f := forecast{processes: map[*process]struct{}{}}
	now := t.clock.now()
	at := 0
	newRecords(t, nil).steps(func() (more bool) {
		if at < len(t.index.places) {
			if e := t.index.places[at].entry; e != nil && e.state == open && !e.managed && !e.synthetic {
				f.take(t, e, now)
			}
			at++
		}
		return at < len(t.index.places)
	})
	return f
}

func (f *forecast) take(t *table, e *entry, now int64) {
	f.spans++
	if e.owner().id != "" {
		f.stacked++
		f.processes[e.process] = struct{}{}
	}
	if due := t.managedDeadline(e); due != 0 && due <= now {
		f.overdue++
	}
}
