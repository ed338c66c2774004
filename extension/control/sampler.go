// This file looks at the agent every few seconds, so that there are pictures over time: what tables
// hold, and the rates by the agent's own metrics.

package control

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

const (
	sampleInterval = 5 * time.Second
	sampleCount    = 361 // half an hour
)

// sampler keeps the last samples. Safe for concurrent use.
type sampler struct {
	registry *registry
	metrics  *ownMetrics
	logger   *zap.Logger

	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	samples []operator.Sample // oldest first
	last    map[string]float64
	lastAt  time.Time
}

func newSampler(r *registry, m *ownMetrics, logger *zap.Logger) *sampler {
	return &sampler{registry: r, metrics: m, logger: logger}
}

func (s *sampler) start() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.done = stop, make(chan struct{})
	go s.run(ctx)
}

func (s *sampler) shutdown() {
	if s.stop != nil {
		s.stop()
		<-s.done
	}
}

func (s *sampler) run(ctx context.Context) {
	defer close(s.done)
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	for {
		s.sample(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sample takes one sample.
func (s *sampler) sample(ctx context.Context, now time.Time) {
	sample := operator.Sample{At: now.UTC(), Bytes: map[string]int64{}}
	for _, table := range s.registry.listTables() {
		sample.Bytes[table.Name()] = table.Info().Bytes
	}
	totals, err := s.metrics.flows(ctx)
	if err != nil {
		s.logger.Debug("The agent's own metrics could not be read", zap.Error(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sample.Rates = rates(s.last, totals, now.Sub(s.lastAt))
	s.last, s.lastAt = totals, now
	if len(s.samples) == sampleCount {
		s.samples = append(s.samples[:0], s.samples[1:]...)
	}
	s.samples = append(s.samples, sample)
}

// rates are the differences of two readings by time; none where either is missing. A counter that
// went back has begun anew.
func rates(before, now map[string]float64, passed time.Duration) map[string]float64 {
	if before == nil || now == nil {
		return nil
	}
	out := make(map[string]float64, len(now))
	for flow, total := range now {
		out[flow] = max(total-before[flow], 0) / passed.Seconds()
	}
	return out
}

// list returns the samples, oldest first.
func (s *sampler) list() []operator.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]operator.Sample(nil), s.samples...)
}
