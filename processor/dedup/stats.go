// This file counts, for each rule, what came in and what became of it; and shows it as metrics.

package dedup

import (
	"context"
	"math"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/foundation-agent/foundation-agent/processor/dedup/internal/metadata"
)

// total is a sum of weights. Safe for concurrent use.
type total struct{ bits atomic.Uint64 }

func (t *total) add(x float64) {
	for x != 0 {
		old := t.bits.Load()
		if t.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+x)) {
			return
		}
	}
}

func (t *total) load() float64 { return math.Float64frombits(t.bits.Load()) }

// ruleStats are weights and numbers of records since the start; held is what is held now.
type ruleStats struct {
	in, restored, out, refused, held                    total
	suppressed, sampledOut, batched, summaries, evicted atomic.Int64
}

func (s *ruleStats) take(t *tally) {
	s.in.add(t.in)
	s.out.add(t.out)
	s.refused.add(t.refused)
	s.held.add(t.held)
	addInt(&s.suppressed, t.suppressed)
	addInt(&s.sampledOut, t.sampledOut)
	addInt(&s.batched, t.batched)
}

// restore counts weight that is held again after a restart.
func (s *ruleStats) restore(weight float64) {
	s.restored.add(weight)
	s.held.add(weight)
}

func addInt(to *atomic.Int64, n int64) {
	if n != 0 {
		to.Add(n)
	}
}

// observe registers the metrics. They are read when the reader asks, and cost nothing on the hot path.
func (p *dedupProcessor) observe(b *metadata.TelemetryBuilder) error {
	options := make([]metric.ObserveOption, 0, len(p.table.rules))
	for _, r := range p.table.rules {
		options = append(options, metric.WithAttributeSet(attribute.NewSet(attribute.String("rule", r.name))))
	}
	weights := func(of func(s *ruleStats) *total) metric.Float64Callback {
		return func(_ context.Context, o metric.Float64Observer) error {
			for i, r := range p.table.rules {
				o.Observe(of(&r.stats).load(), options[i])
			}
			return nil
		}
	}
	counts := func(of func(s *ruleStats) *atomic.Int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			for i, r := range p.table.rules {
				o.Observe(of(&r.stats).Load(), options[i])
			}
			return nil
		}
	}
	single := func(read func() int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(read())
			return nil
		}
	}
	for _, register := range []func() error{
		func() error {
			return b.RegisterEventDedupInCallback(weights(func(s *ruleStats) *total { return &s.in }))
		},
		func() error {
			return b.RegisterEventDedupRestoredCallback(weights(func(s *ruleStats) *total { return &s.restored }))
		},
		func() error {
			return b.RegisterEventDedupOutCallback(weights(func(s *ruleStats) *total { return &s.out }))
		},
		func() error {
			return b.RegisterEventDedupRefusedCallback(weights(func(s *ruleStats) *total { return &s.refused }))
		},
		func() error {
			return b.RegisterEventDedupHeldCallback(weights(func(s *ruleStats) *total { return &s.held }))
		},
		func() error {
			return b.RegisterEventDedupSuppressedCallback(counts(func(s *ruleStats) *atomic.Int64 { return &s.suppressed }))
		},
		func() error {
			return b.RegisterEventDedupSampledOutCallback(counts(func(s *ruleStats) *atomic.Int64 { return &s.sampledOut }))
		},
		func() error {
			return b.RegisterEventDedupBatchedCallback(counts(func(s *ruleStats) *atomic.Int64 { return &s.batched }))
		},
		func() error {
			return b.RegisterEventDedupSummariesCallback(counts(func(s *ruleStats) *atomic.Int64 { return &s.summaries }))
		},
		func() error {
			return b.RegisterEventDedupEvictedCallback(counts(func(s *ruleStats) *atomic.Int64 { return &s.evicted }))
		},
		func() error {
			return b.RegisterEventDedupKeysCallback(single(func() int64 { keys, _ := p.table.size(); return keys }))
		},
		func() error {
			return b.RegisterEventDedupBytesCallback(single(func() int64 { _, n := p.table.size(); return n + p.table.waiting.bytes.Load() }))
		},
		func() error { return b.RegisterEventDedupQueuedCallback(single(p.table.waiting.records.Load)) },
		func() error { return b.RegisterEventDedupFlushFailuresCallback(single(p.outlet.failures.Load)) },
		func() error { return b.RegisterEventDedupRepeatedCallback(single(p.repeated.Load)) },
		func() error { return b.RegisterEventDedupStrippedCallback(single(p.stripped.Load)) },
		func() error { return b.RegisterEventDedupUnkeyedCallback(single(p.unkeyed.Load)) },
	} {
		if err := register(); err != nil {
			return err
		}
	}
	return nil
}
