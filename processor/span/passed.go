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
	patterns  []pattern                  // looked for in logs
	named     []metric.MeasurementOption // the pattern's name, of each
}

func newPassed(set component.TelemetrySettings, signal string, patterns map[string]string) (*passed, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	p := &passed{telemetry: telemetry, signal: with("signal", signal)}
	if p.patterns, err = newPatterns(patterns); err != nil {
		return nil, err
	}
	for _, one := range p.patterns {
		p.named = append(p.named, with("pattern", one.name))
	}
	return p, nil
}

func with(key, value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))
}

// begin shows all counters from the start: one that appears with its first error has no rise that an alert could see.
func (p *passed) begin(ctx context.Context) {
	p.telemetry.SpanLifecycleRecords.Add(ctx, 0, p.signal)
	p.telemetry.SpanLifecycleErrors.Add(ctx, 0, p.signal)
	for _, name := range p.named {
		p.telemetry.SpanLifecycleMatches.Add(ctx, 0, name)
	}
}

// log counts a record, but not the agent's own events.
func (p *passed) log(r plog.LogRecord, t *tally) {
	if strings.HasPrefix(r.EventName(), attr.ControlPrefix) {
		return
	}
	t.records++
	severity := r.SeverityNumber()
	if severity >= plog.SeverityNumberError {
		t.errors++
	}
	if severity >= plog.SeverityNumberError || severity == plog.SeverityNumberUnspecified {
		p.look(r, t)
	}
}

// look counts the patterns that are in a record.
func (p *passed) look(r plog.LogRecord, t *tally) {
	for i := range p.patterns {
		if !p.patterns[i].in(r) {
			continue
		}
		if t.matches == nil {
			t.matches = make([]int64, len(p.patterns))
		}
		t.matches[i]++
	}
}

// add counts a batch that the next consumer has taken.
func (p *passed) add(ctx context.Context, t tally) {
	p.telemetry.SpanLifecycleRecords.Add(ctx, t.records, p.signal)
	if t.errors > 0 {
		p.telemetry.SpanLifecycleErrors.Add(ctx, t.errors, p.signal)
	}
	for i, n := range t.matches {
		if n > 0 {
			p.telemetry.SpanLifecycleMatches.Add(ctx, n, p.named[i])
		}
	}
}

// tally is what one batch holds.
type tally struct {
	records, errors int64
	matches         []int64 // of each pattern; nil where there are none
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
