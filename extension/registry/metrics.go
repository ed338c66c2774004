// This file observes the registry's counts when metrics are read.

package registry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/foundation-agent/foundation-agent/extension/registry/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/agents"
)

func (r *registry) observe(tb *metadata.TelemetryBuilder) error {
	value := func(read func() int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(read())
			return nil
		}
	}
	return errors.Join(
		tb.RegisterAgentRegistryBytesCallback(value(r.bytes.Load)),
		tb.RegisterAgentRegistryDeathsUntoldCallback(value(func() int64 { return int64(r.hub.waiting()) })),
		tb.RegisterAgentRegistryShadowReadsCallback(value(r.tally.shadowReads.Load)),
		tb.RegisterAgentRegistryShadowWritesCallback(value(r.tally.shadowWrites.Load)),
		tb.RegisterAgentRegistryWatchersDisconnectedCallback(value(func() int64 { return int64(r.hub.kicks.Load()) })),
		tb.RegisterAgentRegistryDeathsCallback(r.observeDeaths),
		tb.RegisterAgentRegistryEntriesCallback(r.observeEntries),
		tb.RegisterAgentRegistryOperationsCallback(r.observeOperations),
		tb.RegisterAgentRegistryWatchersCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(r.tally.streams.Load(), metric.WithAttributes(attribute.String("watcher", "stream")))
			o.Observe(r.inProcess.Load(), metric.WithAttributes(attribute.String("watcher", "in_process")))
			return nil
		}),
	)
}

func (r *registry) observeDeaths(_ context.Context, o metric.Int64Observer) error {
	for i, reason := range deathReasons {
		o.Observe(r.tally.deaths[i].Load(), metric.WithAttributes(attribute.String("reason", reason)))
	}
	return nil
}

func (r *registry) observeEntries(_ context.Context, o metric.Int64Observer) error {
	counts := map[string]int64{agents.StateUp: 0, agents.StateUnresponsive: 0}
	for _, e := range r.byID.All() {
		counts[e.agent.Load().State]++
	}
	for state, n := range counts {
		o.Observe(n, metric.WithAttributes(attribute.String("state", state)))
	}
	return nil
}

func (r *registry) observeOperations(_ context.Context, o metric.Int64Observer) error {
	for op, name := range operationNames {
		for out, outcomeName := range outcomeNames {
			if n := r.tally.operations[op][out].Load(); n > 0 {
				o.Observe(n, metric.WithAttributes(attribute.String("operation", name), attribute.String("outcome", outcomeName)))
			}
		}
	}
	return nil
}
