package backend

import (
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// SpanTotals is an account of spans.
type SpanTotals struct {
	// Spans that arrived, repeats included.
	Spans int
	// Repeats are spans whose ids had arrived before.
	Repeats int
	// Reasons counts the spans that the agent had to end, by foundation.span.end_reason, repeats left out.
	Reasons map[string]int
	// Wrong are spans that must not leave an agent: half ones, and such that end before they start.
	Wrong int
}

// Once is how many different spans arrived.
func (t SpanTotals) Once() int { return t.Spans - t.Repeats }

// Spans are the totals. Safe for concurrent use.
type Spans struct {
	mu     sync.Mutex
	totals SpanTotals
	seen   map[spanIdentity]struct{}
}

type spanIdentity struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

func newSpans() *Spans {
	return &Spans{totals: SpanTotals{Reasons: map[string]int{}}, seen: map[spanIdentity]struct{}{}}
}

// Totals is the account.
func (s *Spans) Totals() SpanTotals {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.totals
	t.Reasons = map[string]int{}
	for reason, n := range s.totals.Reasons {
		t.Reasons[reason] = n
	}
	return t
}

func (s *Spans) count(traces ptrace.Traces) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range traces.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				s.span(span)
			}
		}
	}
}

func (s *Spans) span(span ptrace.Span) {
	s.totals.Spans++
	id := spanIdentity{span.TraceID(), span.SpanID()}
	if _, repeat := s.seen[id]; repeat {
		s.totals.Repeats++
		return
	}
	s.seen[id] = struct{}{}
	if span.StartTimestamp() == 0 || span.EndTimestamp() < span.StartTimestamp() {
		s.totals.Wrong++
	}
	if v, ok := span.Attributes().Get(attr.EndReason); ok {
		s.totals.Reasons[v.Str()]++
	}
}
