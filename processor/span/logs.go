// This file is the logs side: records gain the error context of the spans they were written in.

package span

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/enforcement"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/host"
	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

type logs struct {
	cfg   *Config
	next  consumer.Logs
	table spans.Table
	flag  flag.Handle

	passed *passed

	tap     *operator.Tap
	preview *preview
	hide    []func() // tap and preview

	audit     *enforcement.Policy
	hideAudit func()
}

// Capabilities: records gain attributes.
func (*logs) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

// Start finds the table and the flag.
func (l *logs) Start(ctx context.Context, h component.Host) error {
	table, err := host.Extension[spans.Table](h, "open_spans", l.cfg.OpenSpans)
	if err != nil {
		return err
	}
	l.table = table
	l.passed.begin(ctx)
	if l.hideAudit, err = showAudit(h, l.cfg, l.audit); err != nil {
		return err
	}
	l.flag, err = flag.Find(h, l.cfg.Flags, "flag", l.cfg.Flag)
	if err != nil || l.cfg.Control == nil {
		return err
	}
	control, err := host.Extension[operator.Registrar](h, "control", *l.cfg.Control)
	if err != nil {
		return err
	}
	l.preview.flag = l.flag
	l.hide = append(l.hide, control.RegisterTap(l.tap), control.RegisterPreviewer(l.preview))
	return nil
}

// Shutdown lets nobody watch any more. The table holds the state.
func (l *logs) Shutdown(context.Context) error {
	if l.hideAudit != nil {
		l.hideAudit()
	}
	for _, hide := range l.hide {
		hide()
	}
	return nil
}

// ConsumeLogs enriches the records, passes them on and counts them.
func (l *logs) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	l.audit.MarkLogs(ctx, ld)
	enrich, seen := l.flag.Enabled(), tally{}
	foresee, gain := !enrich && l.preview.asked(), int64(0)
	for _, rl := range ld.ResourceLogs().All() {
		sender := l.senderOf(ctx, rl.Resource())
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				l.passed.log(record, &seen)
				if enrich {
					l.table.Enrich(sender, record)
				} else if foresee && l.table.WouldEnrich(sender, record) {
					gain++
				}
				if sender.Proven() && record.SeverityNumber() >= plog.SeverityNumberError {
					l.table.NoteError(sender, timeOf(record), textOf(record))
				}
			}
		}
	}
	if foresee {
		l.preview.add(int64(ld.LogRecordCount()), gain)
	}
	l.tap.Observe(ld)
	if err := l.next.ConsumeLogs(ctx, ld); err != nil {
		return err
	}
	l.passed.add(ctx, seen)
	return nil
}

func (l *logs) senderOf(ctx context.Context, r pcommon.Resource) spans.Sender {
	id, ok := r.Attributes().Get(attr.AgentID)
	if !ok {
		return spans.Sender{}
	}
	return l.table.Sender(ctx, id.AsString(), "")
}

// timeOf is when a record was written, as far as it says.
func timeOf(record plog.LogRecord) pcommon.Timestamp {
	if t := record.Timestamp(); t != 0 {
		return t
	}
	return record.ObservedTimestamp()
}

// textOf is what a record says to a person.
func textOf(record plog.LogRecord) string {
	body := record.Body().AsString()
	switch name := record.EventName(); {
	case name == "":
		return body
	case body == "":
		return name
	default:
		return name + ": " + body
	}
}
