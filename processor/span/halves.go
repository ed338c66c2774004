// This file tells half spans from complete ones.

package span

import "go.opentelemetry.io/collector/pdata/ptrace"

// isHalf reports whether a span is a start, an end or an update.
func isHalf(s ptrace.Span) bool { return s.StartTimestamp() == 0 || s.EndTimestamp() == 0 }

// hasHalves looks for the first half span. It touches nothing.
func hasHalves(td ptrace.Traces) bool {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				if isHalf(s) {
					return true
				}
			}
		}
	}
	return false
}

// takeHalves moves the half spans out of td, in their order and with their resources and scopes. What
// is left of td holds complete spans only.
func takeHalves(td ptrace.Traces) ptrace.Traces {
	halves := ptrace.NewTraces()
	if !hasHalves(td) {
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
