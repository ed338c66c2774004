// This file looks at the agent every few seconds, so that there are pictures over time: what tables
// hold, and the rates by the agent's own metrics.

package control

import (
	"context"
	"slices"
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

	mu     sync.Mutex
	tables []string // names of the columns of row.bytes
	rows   []row    // oldest first
	last   []float64
	lastAt time.Time
}

// row is a sample as it is kept: half an hour of samples that each have maps and names of their own would be felt.
type row struct {
	at    time.Time
	bytes []int64   // -1 where there was no such table
	rates []float64 // by flow; nil where the agent's own metrics could not be read
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
	tables := s.registry.listTables()
	totals, err := s.metrics.flows(ctx)
	if err != nil {
		s.logger.Debug("The agent's own metrics could not be read", zap.Error(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := row{at: now.UTC(), bytes: s.bytesOf(tables), rates: rates(s.last, totals, now.Sub(s.lastAt))}
	s.last, s.lastAt = totals, now
	if len(s.rows) == sampleCount {
		s.rows = slices.Delete(s.rows, 0, 1)
	}
	s.rows = append(s.rows, r)
}

// bytesOf are the bytes of the tables by column, which a table that is new gets. mu is held.
func (s *sampler) bytesOf(tables []operator.Table) []int64 {
	bytes := make([]int64, len(s.tables), len(s.tables)+len(tables))
	for i := range bytes {
		bytes[i] = -1
	}
	for _, table := range tables {
		column := slices.Index(s.tables, table.Name())
		if column < 0 {
			column = len(bytes)
			s.tables, bytes = append(s.tables, table.Name()), append(bytes, 0)
		}
		bytes[column] = table.Info().Bytes
	}
	return slices.Clip(bytes)
}

// rates are the differences of two readings by time; none where either is missing. A counter that
// went back has begun anew.
func rates(before, now []float64, passed time.Duration) []float64 {
	if before == nil || now == nil {
		return nil
	}
	out := make([]float64, len(now))
	for flow, total := range now {
		out[flow] = max(total-before[flow], 0) / passed.Seconds()
	}
	return out
}

// list returns the samples, oldest first.
func (s *sampler) list() []operator.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	samples := make([]operator.Sample, len(s.rows))
	for i, r := range s.rows {
		samples[i] = operator.Sample{At: r.at, Bytes: map[string]int64{}}
		for column, bytes := range r.bytes {
			if bytes >= 0 {
				samples[i].Bytes[s.tables[column]] = bytes
			}
		}
		if r.rates != nil {
			samples[i].Rates = map[string]float64{}
			for flow, rate := range r.rates {
				samples[i].Rates[flowMetrics[flow].flow] = rate
			}
		}
	}
	return samples
}
