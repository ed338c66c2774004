package foundation

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/foundation-agent/foundation-agent/receiver/foundation/internal/metadata"
)

// telemetry counts by atomics, which the instruments of metadata.yaml read when they are observed.
type telemetry struct {
	builder *metadata.TelemetryBuilder

	accepted, unproven atomic.Int64
	refused, stripped  atomic.Int64
	rejected           [len(reasonCodes)]atomic.Int64 // by reason
	extensionEvents    atomic.Int64
	// what was lost beside what the buffers of the sources had no room for
	extensionEventsDropped atomic.Int64
}

func newTelemetry(set component.TelemetrySettings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	return &telemetry{builder: builder}, err
}

// start lets the instruments read. overflowed is how many events the buffers of extensions have dropped.
func (t *telemetry) start(overflowed func() int64) error {
	b := t.builder
	return errors.Join(
		b.RegisterFoundationEventsAcceptedCallback(observe(t.accepted.Load)),
		b.RegisterFoundationEventsUnprovenCallback(observe(t.unproven.Load)),
		b.RegisterFoundationEventsRefusedCallback(observe(t.refused.Load)),
		b.RegisterFoundationControlAttributesStrippedCallback(observe(t.stripped.Load)),
		b.RegisterFoundationExtensionEventsCallback(observe(t.extensionEvents.Load)),
		b.RegisterFoundationExtensionEventsDroppedCallback(observe(func() int64 {
			return t.extensionEventsDropped.Load() + overflowed()
		})),
		b.RegisterFoundationEventsRejectedCallback(func(_ context.Context, o metric.Int64Observer) error {
			for r := range t.rejected {
				o.Observe(t.rejected[r].Load(), metric.WithAttributes(attribute.String("reason", reason(r).String())))
			}
			return nil
		}),
	)
}

func observe(load func() int64) metric.Int64Callback {
	return func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(load())
		return nil
	}
}

// took counts a chunk that the pipeline took.
func (t *telemetry) took(c *chunk) {
	t.accepted.Add(int64(len(c.lines)))
	t.unproven.Add(int64(c.unproven))
}

// answered counts a request. call is one of the receiver's own names.
func (t *telemetry) answered(ctx context.Context, call string, a answer) {
	outcome := "failed"
	switch {
	case a.status == http.StatusTooManyRequests, a.status == http.StatusServiceUnavailable:
		outcome = "refused"
	case a.status >= http.StatusInternalServerError:
	case a.status >= http.StatusBadRequest:
		outcome = "rejected"
	default:
		outcome = "accepted"
		if done, ok := a.body.(taken); ok && done.Rejected > 0 {
			outcome = "partial"
		}
	}
	t.builder.FoundationRequests.Add(ctx, 1, metric.WithAttributes(
		attribute.String("call", call), attribute.String("outcome", outcome)))
}
