// This file is the extension's own metrics.

package flags

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// observe registers what is read when metrics are collected.
func (e *flagsExtension) observe() error {
	t := e.telemetry
	return errors.Join(
		t.RegisterFeatureFlagsDefinitionsCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(len(e.state.Load().definitions.Flags)))
			return nil
		}),
		t.RegisterFeatureFlagsOverridesCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(len(e.state.Load().overrides)))
			return nil
		}),
		t.RegisterFeatureFlagsDefinitionsBrokenCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(oneIf(e.definitions.trouble() != nil))
			return nil
		}),
		t.RegisterFeatureFlagsOverridesPersistedCallback(func(_ context.Context, o metric.Int64Observer) error {
			durable, _ := e.store.durable()
			o.Observe(oneIf(durable))
			return nil
		}),
		t.RegisterFeatureFlagsStreamsCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(e.ofrep.streams.open.Load())
			return nil
		}),
		t.RegisterFeatureFlagsEvaluationsCallback(func(_ context.Context, o metric.Int64Observer) error {
			for outcome, name := range outcomeNames {
				o.Observe(e.ofrep.outcomes[outcome].Load(), metric.WithAttributes(attribute.String("outcome", name)))
			}
			return nil
		}),
	)
}

func oneIf(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// countReload counts an attempt to take changed definitions in.
func (e *flagsExtension) countReload(err error) {
	result := "applied"
	if err != nil {
		result = "broken"
	}
	e.telemetry.FeatureFlagsReloads.Add(context.Background(), 1, metric.WithAttributes(attribute.String("result", result)))
}
