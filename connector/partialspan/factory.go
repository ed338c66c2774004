// Package partialspan is the partial_span connector: it turns the heartbeat and stop logs of the
// partial-span format into half spans for span_lifecycle, and passes all other logs on.
package partialspan

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"

	"github.com/foundation-agent/foundation-agent/connector/partialspan/internal/metadata"
)

// NewFactory returns the factory of the partial_span connector.
func NewFactory() connector.Factory {
	o := &outputs{used: map[*Config]*wiring{}}
	return connector.NewFactory(metadata.Type,
		func() component.Config { return &Config{ExpiryFactor: defaultExpiryFactor} },
		connector.WithLogsToTraces(func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Traces) (connector.Logs, error) {
			return newToTraces(set, cfg.(*Config), o, next)
		}, metadata.LogsToTracesStability),
		connector.WithLogsToLogs(func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Logs) (connector.Logs, error) {
			return newToLogs(set, cfg.(*Config), o, next)
		}, metadata.LogsToLogsStability),
	)
}
