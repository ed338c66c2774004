// Package span is the span_lifecycle processor. In a traces pipeline it is the outlet of the table of
// open spans: half spans go in, whole spans come out. In a logs pipeline it gives records the error
// context of the spans they were written in.
package span

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/processor/span/internal/metadata"
)

// NewFactory returns the factory of the span_lifecycle processor.
func NewFactory() processor.Factory {
	return processor.NewFactory(metadata.Type, createDefaultConfig,
		processor.WithTraces(createTraces, metadata.TracesStability),
		processor.WithLogs(createLogs, metadata.LogsStability),
	)
}

func createTraces(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	passed, err := newPassed(set.TelemetrySettings, "traces", nil)
	if err != nil {
		return nil, err
	}
	return &traces{cfg: cfg.(*Config), next: next, passed: passed, audit: newAudit(cfg.(*Config), set.ID, "traces")}, nil
}

func createLogs(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	passed, err := newPassed(set.TelemetrySettings, "logs", cfg.(*Config).Patterns)
	if err != nil {
		return nil, err
	}
	return &logs{
		cfg: cfg.(*Config), next: next, passed: passed, audit: newAudit(cfg.(*Config), set.ID, "logs"), tap: operator.NewTap(set.ID.String()),
		preview: &preview{name: set.ID.String()},
	}, nil
}
