// This file is the logs-to-traces half: the spans of partial-span logs.

package partialspan

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/foundation-agent/foundation-agent/connector/partialspan/internal/metadata"
)

type toTraces struct {
	cfg       *Config
	outputs   *outputs
	remove    func()
	next      consumer.Traces
	telemetry *metadata.TelemetryBuilder
}

func newToTraces(set connector.Settings, cfg *Config, o *outputs, next consumer.Traces) (*toTraces, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &toTraces{cfg: cfg, outputs: o, remove: o.add(cfg, traceInstances), next: next, telemetry: telemetry}, nil
}

// Capabilities: the records are read only; the other half sees them too.
func (*toTraces) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// Start fails where the other logs would have nowhere to go.
func (c *toTraces) Start(context.Context, component.Host) error { return c.outputs.check(c.cfg) }

// Shutdown forgets this instance.
func (c *toTraces) Shutdown(context.Context) error {
	c.remove()
	c.telemetry.Shutdown()
	return nil
}

// ConsumeLogs sends the spans of partial-span logs on; a batch without any sends nothing.
func (c *toTraces) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	td := ptrace.NewTraces()
	var heartbeats, stops int64
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				p, ok, err := read(record, c.cfg.ExpiryFactor)
				if !ok || err != nil {
					continue // the logs half passes it on
				}
				n := int64(p.spans.SpanCount())
				if p.event == stop {
					stops += n
				} else {
					heartbeats += n
				}
				p.fill(rl.Resource(), record)
				p.spans.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
			}
		}
	}
	if td.ResourceSpans().Len() == 0 {
		return nil
	}
	if err := c.next.ConsumeTraces(ctx, td); err != nil {
		return err
	}
	c.count(ctx, heartbeats, heartbeat)
	c.count(ctx, stops, stop)
	return nil
}

func (c *toTraces) count(ctx context.Context, n int64, e event) {
	if n > 0 {
		c.telemetry.PartialSpanSpans.Add(ctx, n, metric.WithAttributes(attribute.String("event", string(e))))
	}
}
