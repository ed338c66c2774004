// This file counts and marks what passes a processor, for components that never refuse.

package enforcement

import (
	"context"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/door"
)

// IsLegacy reports whether a record says that the users' old code path has written it.
func IsLegacy(attributes pcommon.Map) bool {
	mark, ok := attributes.Get(attr.Legacy)
	return ok && mark.Type() == pcommon.ValueTypeBool && mark.Bool()
}

// MarkLogs marks each record that is a violation and is not marked yet.
func (p *Policy) MarkLogs(ctx context.Context, ld plog.Logs) {
	if p == nil {
		return
	}
	for _, rl := range ld.ResourceLogs().All() {
		from := senderOf(ctx, rl.Resource())
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				p.mark(from, record.Attributes())
			}
		}
	}
}

// MarkTraces marks each span that is a violation and is not marked yet.
func (p *Policy) MarkTraces(ctx context.Context, td ptrace.Traces) {
	if p == nil {
		return
	}
	for _, rs := range td.ResourceSpans().All() {
		from := senderOf(ctx, rs.Resource())
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				p.mark(from, span.Attributes())
			}
		}
	}
}

func (p *Policy) mark(from Record, attributes pcommon.Map) {
	from.Legacy = IsLegacy(attributes)
	if !from.Legacy && (from.AgentID || !p.cfg.RequireAgentID) {
		return
	}
	if _, marked := attributes.Get(attr.Violation); marked && from.seen {
		return // counted where it came in
	}
	if _, synthetic := attributes.Get(attr.Synthetic); synthetic {
		return
	}
	_, kind := p.Check(from)
	attributes.PutStr(attr.Violation, kind.String())
}

// senderOf names who sent a resource's records: its agent, its service, or the address that it came from.
func senderOf(ctx context.Context, resource pcommon.Resource) Record {
	_, ours := door.CallerIn(ctx) // the foundation receiver has judged it, and let nobody else set the mark
	r := Record{Sender: "unknown", seen: ours}
	if id, ok := resource.Attributes().Get(attr.AgentID); ok {
		r.Sender, r.AgentID = id.AsString(), true
	} else if name, ok := resource.Attributes().Get("service.name"); ok {
		r.Sender = name.AsString()
	} else if addr := client.FromContext(ctx).Addr; addr != nil {
		r.Sender = addr.String()
	}
	return r
}
