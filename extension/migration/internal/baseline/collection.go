// This file is a baseline under way. It is stored at each sample, and goes on after a restart.

package baseline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// format of what is stored. A newer one is refused.
const format = 1

// head is what is stored of a baseline beside its samples.
type head struct {
	Format int `json:"format"`
	operator.Baseline
	Chunks   int                 `json:"chunks"`
	Observed map[string]observed `json:"observed,omitempty"` // by signal, while it is collected
}

func headKey(name string) string { return "baseline/" + name }

// collection is a baseline under way. The Book guards it.
type collection struct {
	operator.Baseline
	chunks   []chunk // the last one is being filled
	observed map[string]signal.Histogram
	before   map[string]signal.Histogram // what the sampler had counted at the sample before
}

func newCollection(b operator.Baseline, at time.Time, before map[string]signal.Histogram) *collection {
	return &collection{Baseline: b, chunks: []chunk{newChunk(at)}, observed: map[string]signal.Histogram{}, before: maps.Clone(before)}
}

// resume reads what was collected before the agent ended. Nothing is made up for the time between.
func resume(ctx context.Context, s Store, h head) (*collection, error) {
	if h.Format > format {
		return nil, fmt.Errorf("baseline %s: %w", h.Name, errNewer)
	}
	c := &collection{Baseline: h.Baseline, observed: map[string]signal.Histogram{}, before: map[string]signal.Histogram{}}
	for n := range h.Chunks {
		chunk, err := read[chunk](ctx, s, chunkKey(h.Name, n))
		if err != nil {
			return nil, err
		}
		if chunk.Values == nil {
			chunk.Values = map[string][]float64{}
		}
		c.chunks = append(c.chunks, chunk)
	}
	for name, o := range h.Observed {
		c.observed[name] = signal.Histogram{Bounds: append(o.Bounds, math.Inf(1)), Counts: o.Counts, Sum: o.Sum}
	}
	return c, nil
}

func (c *collection) add(s signal.Sample, step time.Duration) {
	c.Duration += step.Seconds()
	c.Samples++
	for _, v := range s.Versions {
		if !slices.Contains(c.Versions, v) {
			c.Versions = append(c.Versions, v)
		}
	}
	last := &c.chunks[len(c.chunks)-1]
	if last.Started != hourOf(s.At) {
		c.chunks = append(c.chunks, newChunk(s.At))
		last = &c.chunks[len(c.chunks)-1]
	}
	last.add(s)
	for name, now := range s.Histograms {
		c.observed[name] = c.observed[name].Plus(now.Minus(c.before[name]))
		c.before[name] = now
	}
}

// dirty is what must be stored after a sample: the head and the chunk that is being filled.
func (c *collection) dirty() (head, map[string][]byte) {
	h := head{Format: format, Baseline: c.Baseline, Chunks: len(c.chunks)}
	if c.State == Collecting {
		h.Observed = map[string]observed{}
		for name, o := range c.observed {
			if n := len(o.Bounds); n > 0 {
				h.Observed[name] = observed{Bounds: o.Bounds[:n-1], Counts: o.Counts, Sum: o.Sum}
			}
		}
	}
	encoded, err := json.Marshal(h)
	if err != nil {
		panic(err) // finite numbers, strings and times
	}
	last := len(c.chunks) - 1
	return h, map[string][]byte{headKey(c.Name): encoded, chunkKey(c.Name, last): c.chunks[last].encode()}
}

// summarize makes the statistics of what was collected.
func (c *collection) summarize(units map[string]string) {
	c.Signals = summarize(c.chunks, units, nil)
	for name, s := range c.Signals {
		s.Observed = observedStats(c.observed[name])
		c.Signals[name] = s
	}
}

// summarize sums up chunks, of some hours of the day alone where hours is not nil.
func summarize(chunks []chunk, units map[string]string, hours []int) map[string]operator.BaselineSignal {
	all := map[string][]float64{}
	byHour := map[string]map[int][]float64{}
	for _, c := range chunks {
		if hours != nil && !slices.Contains(hours, c.Hour) {
			continue
		}
		for name, values := range c.Values {
			all[name] = append(all[name], values...)
			if byHour[name] == nil {
				byHour[name] = map[int][]float64{}
			}
			byHour[name][c.Hour] = append(byHour[name][c.Hour], values...)
		}
	}
	signals := map[string]operator.BaselineSignal{}
	for name, values := range all {
		s := operator.BaselineSignal{Unit: units[name], Overall: statsOf(values), Hours: map[int]operator.BaselineStats{}}
		for hour, values := range byHour[name] {
			s.Hours[hour] = statsOf(values)
		}
		signals[name] = s
	}
	return signals
}
