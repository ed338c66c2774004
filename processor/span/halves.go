// This file tells half spans from complete ones.

package span

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// isHalf reports whether a span is a start, an end or an update.
func isHalf(s ptrace.Span) bool { return s.StartTimestamp() == 0 || s.EndTimestamp() == 0 }

// found says what there is in a batch.
type found struct {
	halves    bool
	complete  bool
	backwards bool // a complete span ends before it starts
}

// look reads two numbers of each span, and touches nothing.
func look(td ptrace.Traces) (f found) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			spans := ss.Spans()
			for i := range spans.Len() {
				s := spans.At(i)
				start, end := s.StartTimestamp(), s.EndTimestamp()
				half := start == 0 || end == 0
				f.halves = f.halves || half
				f.complete = f.complete || !half
				f.backwards = f.backwards || end < start
			}
		}
	}
	return f
}

// straighten mends complete spans whose clock stepped back: by the caller's monotonic duration where it was
// given, else they end when they start.
func straighten(td ptrace.Traces) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				if s.EndTimestamp() >= s.StartTimestamp() {
					continue
				}
				s.SetEndTimestamp(s.StartTimestamp())
				if d, ok := s.Attributes().Get(attr.DurationNs); ok && d.Int() > 0 {
					s.SetEndTimestamp(s.StartTimestamp() + pcommon.Timestamp(d.Int()))
				}
			}
		}
	}
}

// takeHalves moves the half spans out of td, in their order and with their resources and scopes. What
// is left of td holds complete spans only. Where there are none (not mixed), all of it moves at once.
func takeHalves(td ptrace.Traces, mixed bool) ptrace.Traces {
	halves := ptrace.NewTraces()
	if !mixed {
		td.ResourceSpans().MoveAndAppendTo(halves.ResourceSpans())
		return halves
	}
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		var toResource ptrace.ResourceSpans
		moved := false
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			var toScope ptrace.ScopeSpans
			first := true
			ss.Spans().RemoveIf(func(s ptrace.Span) bool {
				if !isHalf(s) {
					return false
				}
				if !moved {
					moved = true
					toResource = halves.ResourceSpans().AppendEmpty()
					rs.Resource().CopyTo(toResource.Resource())
					toResource.SetSchemaUrl(rs.SchemaUrl())
				}
				if first {
					first = false
					toScope = toResource.ScopeSpans().AppendEmpty()
					ss.Scope().CopyTo(toScope.Scope())
					toScope.SetSchemaUrl(ss.SchemaUrl())
				}
				s.MoveTo(toScope.Spans().AppendEmpty())
				return true
			})
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	return halves
}
