// This file is the logs-to-logs half: what is no partial span, or a broken one, passes on as a log.

package partialspan

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/connector/partialspan/internal/metadata"
)

type toLogs struct {
	cfg       *Config
	outputs   *outputs
	remove    func()
	next      consumer.Logs
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
}

func newToLogs(set connector.Settings, cfg *Config, o *outputs, next consumer.Logs) (*toLogs, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &toLogs{cfg: cfg, outputs: o, remove: o.add(cfg, logInstances), next: next, logger: set.Logger, telemetry: telemetry}, nil
}

// Capabilities: partial spans are taken out of what passes.
func (*toLogs) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

// Start fails where the spans would have nowhere to go.
func (c *toLogs) Start(context.Context, component.Host) error { return c.outputs.check(c.cfg) }

// Shutdown forgets this instance.
func (c *toLogs) Shutdown(context.Context) error {
	c.remove()
	c.telemetry.Shutdown()
	return nil
}

// ConsumeLogs passes on what the traces half does not take. Broken records are counted here alone, for
// the traces half sees them too.
func (c *toLogs) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	faults := map[string]int64{}
	ld.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
			sl.LogRecords().RemoveIf(func(record plog.LogRecord) bool {
				_, ok, err := read(record, c.cfg.ExpiryFactor)
				if err != nil {
					c.note(err, faults)
				}
				return ok && err == nil
			})
			return sl.LogRecords().Len() == 0
		})
		return rl.ScopeLogs().Len() == 0
	})
	if ld.ResourceLogs().Len() > 0 {
		if err := c.next.ConsumeLogs(ctx, ld); err != nil {
			return err
		}
	}
	for fault, n := range faults {
		c.telemetry.PartialSpanBroken.Add(ctx, n, metric.WithAttributes(attribute.String("fault", fault)))
	}
	return nil
}

func (c *toLogs) note(err error, faults map[string]int64) {
	var b *broken
	if errors.As(err, &b) {
		faults[b.fault]++
	}
	c.logger.Debug("A partial span could not be read; it passes on as a log", zap.Error(err))
}
