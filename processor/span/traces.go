// This file is the traces side: complete spans pass in the same call, halves go into the table.

package span

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/enforcement"
	"github.com/foundation-agent/foundation-agent/internal/host"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

type traces struct {
	cfg    *Config
	next   consumer.Traces
	table  spans.Table
	detach func(context.Context) error
	passed *passed

	audit     *enforcement.Policy
	hideAudit func()
}

// Capabilities: halves are taken out of what passes.
func (*traces) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

// Start makes this pipeline the table's outlet.
func (t *traces) Start(ctx context.Context, h component.Host) error {
	table, err := host.Extension[spans.Table](h, "open_spans", t.cfg.OpenSpans)
	if err != nil {
		return err
	}
	t.table = table
	if t.hideAudit, err = showAudit(h, t.cfg, t.audit); err != nil {
		return err
	}
	t.passed.begin(ctx)
	t.detach, err = table.AttachOutlet(t.deliver)
	return err
}

// Shutdown delivers what has left the table, as far as ctx allows; the rest stays in it.
func (t *traces) Shutdown(ctx context.Context) error {
	if t.hideAudit != nil {
		t.hideAudit()
	}
	if t.detach == nil {
		return nil
	}
	return t.detach(ctx)
}

// ConsumeTraces gives halves to the table and passes complete spans on. The halves go first, so that a
// complete span finds the start that came with it. When the next consumer refuses the complete ones the
// sender sends all of it again: the table knows a half that comes twice.
func (t *traces) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	t.audit.MarkTraces(ctx, td)
	found := look(td)
	if found.halves {
		if err := t.table.TakeHalves(ctx, takeHalves(td, found.complete)); err != nil {
			return err
		}
	}
	if found.backwards {
		straighten(td)
	}
	switch {
	case td.ResourceSpans().Len() == 0:
		return nil
	case t.table.Watching():
		return t.pass(ctx, td)
	default:
		return t.deliver(ctx, td)
	}
}

// deliver hands whole spans to the next consumer and counts them.
func (t *traces) deliver(ctx context.Context, td ptrace.Traces) error {
	seen := tallyOf(td) // now: afterwards they belong to others
	if err := t.next.ConsumeTraces(ctx, td); err != nil {
		return err
	}
	t.passed.add(ctx, seen)
	return nil
}

// pass hands complete spans on, less those that have left already.
func (t *traces) pass(ctx context.Context, td ptrace.Traces) error {
	passage := t.table.Pass()
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		sender := t.senderOf(ctx, rs.Resource())
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			ss.Spans().RemoveIf(func(s ptrace.Span) bool { return !passage.Admit(sender, s) })
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	var err error
	if td.ResourceSpans().Len() > 0 {
		err = t.deliver(ctx, td)
	}
	passage.Done(err)
	return err
}

func (t *traces) senderOf(ctx context.Context, r pcommon.Resource) spans.Sender {
	id, ok := r.Attributes().Get(attr.AgentID)
	if !ok {
		return spans.Sender{}
	}
	return t.table.Sender(ctx, id.AsString(), "")
}
