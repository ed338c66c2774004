// This file counts. The counts are plain atomics on the hot path; metrics read them when they are asked.

package openspans

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/foundation-agent/foundation-agent/extension/openspans/internal/metadata"
)

// stats of a table.
type stats struct {
	starts, delivered, refusedPermanently    atomic.Int64
	orphanEnds, orphanUpdates, lateEnds      atomic.Int64
	duplicates, refused, untrusted, stripped atomic.Int64
	enrichments, deepest                     atomic.Int64
	ends                                     [reasonCount]atomic.Int64
	restoreNs                                atomic.Int64
}

// sawDepth keeps the greatest depth of a stack.
func (s *stats) sawDepth(depth int) {
	if d := int64(depth); d > s.deepest.Load() {
		s.deepest.Store(d) // under the table's lock
	}
}

// observe registers the metrics of a table.
func (t *table) observe(b *metadata.TelemetryBuilder) error {
	count := func(register func(metric.Int64Callback) error, read func() int64) error {
		return register(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(read())
			return nil
		})
	}
	s := &t.stats
	return errors.Join(
		count(b.RegisterOpenSpansStartsCallback, s.starts.Load),
		count(b.RegisterOpenSpansDeliveredCallback, s.delivered.Load),
		count(b.RegisterOpenSpansRefusedPermanentlyCallback, s.refusedPermanently.Load),
		count(b.RegisterOpenSpansOrphanEndsCallback, s.orphanEnds.Load),
		count(b.RegisterOpenSpansOrphanUpdatesCallback, s.orphanUpdates.Load),
		count(b.RegisterOpenSpansLateEndsCallback, s.lateEnds.Load),
		count(b.RegisterOpenSpansDuplicatesCallback, s.duplicates.Load),
		count(b.RegisterOpenSpansRefusedCallback, s.refused.Load),
		count(b.RegisterOpenSpansUntrustedCallback, s.untrusted.Load),
		count(b.RegisterOpenSpansStrippedAttributesCallback, s.stripped.Load),
		count(b.RegisterOpenSpansEnrichmentsCallback, s.enrichments.Load),
		count(b.RegisterOpenSpansStackDepthCallback, s.deepest.Load),
		count(b.RegisterOpenSpansOpenCallback, func() int64 { held, _ := t.amounts(); return int64(held.spans) }),
		count(b.RegisterOpenSpansLeavingCallback, func() int64 { _, out := t.amounts(); return int64(out.spans) }),
		count(b.RegisterOpenSpansBytesCallback, func() int64 { held, out := t.amounts(); return held.bytes + out.bytes }),
		b.RegisterOpenSpansEndsCallback(func(_ context.Context, o metric.Int64Observer) error {
			for r := range s.ends {
				o.Observe(s.ends[r].Load(), metric.WithAttributes(attribute.String("reason", reason(r).String())))
			}
			return nil
		}),
		b.RegisterOpenSpansRestoreTimeCallback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(float64(s.restoreNs.Load()) / 1e9)
			return nil
		}),
	)
}

// amounts returns what is open or waiting, and what is leaving.
func (t *table) amounts() (held, out amount) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held, t.out
}
