// This file counts what passes and how many of it are errors: what the guard of a rollout and the alerts judge. It
// is before any dedup, and what the agent itself adds is not in it.

package span

import (
	"context"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/processor/span/internal/metadata"
)

// passed counts for all processors of a kind together. Safe for concurrent use.
type passed struct {
	telemetry *metadata.TelemetryBuilder
	signal    metric.MeasurementOption
}

func newPassed(set component.TelemetrySettings, signal string) (*passed, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	return &passed{telemetry, metric.WithAttributeSet(attribute.NewSet(attribute.String("signal", signal)))}, nil
}

// begin shows both counters from the start: one that appears with its first error has no rise that an alert could see.
func (p *passed) begin(ctx context.Context) {
	p.telemetry.SpanLifecycleRecords.Add(ctx, 0, p.signal)
	p.telemetry.SpanLifecycleErrors.Add(ctx, 0, p.signal)
}

// add counts a batch that the next consumer has taken.
func (p *passed) add(ctx context.Context, t tally) {
	p.telemetry.SpanLifecycleRecords.Add(ctx, t.records, p.signal)
	if t.errors > 0 {
		p.telemetry.SpanLifecycleErrors.Add(ctx, t.errors, p.signal)
	}
}

// tally is what one batch holds.
type tally struct{ records, errors int64 }

// log counts a record, but not the agent's own events.
func (t *tally) log(r plog.LogRecord) {
	if strings.HasPrefix(r.EventName(), attr.ControlPrefix) {
		return
	}
	t.records++
	if r.SeverityNumber() >= plog.SeverityNumberError {
		t.errors++
	}
}

// tallyOf counts whole spans, but not those that the agent had to end: they are errors always.
func tallyOf(td ptrace.Traces) (t tally) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			spans := ss.Spans()
			for i := range spans.Len() {
				s := spans.At(i)
				if s.Status().Code() == ptrace.StatusCodeError {
					if _, forced := s.Attributes().Get(attr.EndReason); forced {
						continue
					}
					t.errors++
				}
				t.records++
			}
		}
	}
	return t
}
