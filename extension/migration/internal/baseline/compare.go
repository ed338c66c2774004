// This file holds two baselines beside each other, or a baseline and now: the hours of the day that both
// have seen, where there are any.

package baseline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// recentTime is how far back "now" reaches.
const recentTime = time.Hour

// recent holds the samples of the last hour, in chunks.
type recent struct{ samples []signal.Sample }

func (r *recent) add(s signal.Sample) {
	r.samples = append(r.samples, signal.Sample{At: s.At, Values: s.Values})
	for s.At.Sub(r.samples[0].At) > recentTime {
		r.samples = r.samples[1:]
	}
}

func (r *recent) chunks() []chunk {
	var chunks []chunk
	for _, s := range r.samples {
		if n := len(chunks); n == 0 || chunks[n-1].Started != hourOf(s.At) {
			chunks = append(chunks, newChunk(s.At))
		}
		chunks[len(chunks)-1].add(s)
	}
	return chunks
}

// Compare holds baseline other (or "now") against base.
func (b *Book) Compare(ctx context.Context, base, other string) (operator.BaselineComparison, error) {
	x, err := b.chunksOf(ctx, base)
	if err != nil {
		return operator.BaselineComparison{}, err
	}
	y, err := b.chunksOf(ctx, other)
	if err != nil {
		return operator.BaselineComparison{}, err
	}
	hours := b.likeHours(x, y)
	left, right := summarize(x, b.cfg.Units, hours), summarize(y, b.cfg.Units, hours)
	c := operator.BaselineComparison{A: base, B: other, Rows: []operator.BaselineDiff{}}
	for _, name := range slices.Sorted(maps.Keys(b.cfg.Units)) {
		c.Rows = append(c.Rows, diff(name, b.cfg.Units[name], left, right, hours))
	}
	return c, nil
}

// likeHours are the hours of the day that both have seen enough of; nil where there are none, and all
// hours are compared with all.
func (b *Book) likeHours(x, y []chunk) []int {
	enough := func(chunks []chunk) map[int]bool {
		most := map[int]int{}
		for _, c := range chunks {
			for _, values := range c.Values {
				most[c.Hour] = max(most[c.Hour], len(values))
			}
		}
		found := map[int]bool{}
		for hour, n := range most {
			found[hour] = n >= b.cfg.MinHourSamples
		}
		return found
	}
	inX, inY := enough(x), enough(y)
	var hours []int
	for hour := range 24 {
		if inX[hour] && inY[hour] {
			hours = append(hours, hour)
		}
	}
	return hours
}

func diff(name, unit string, left, right map[string]operator.BaselineSignal, hours []int) operator.BaselineDiff {
	d := operator.BaselineDiff{Signal: name, Unit: unit, Hours: hours}
	if s, ok := left[name]; ok {
		d.A = &s.Overall
	}
	if s, ok := right[name]; ok {
		d.B = &s.Overall
	}
	if d.A != nil && d.B != nil && d.A.Mean != 0 {
		change := (d.B.Mean - d.A.Mean) / d.A.Mean
		d.Change = &change
	}
	return d
}

// chunksOf are the samples of a baseline, or of the last hour.
func (b *Book) chunksOf(ctx context.Context, name string) ([]chunk, error) {
	if name == Now {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.recent.chunks(), nil
	}
	h, err := b.comparable(name)
	if err != nil {
		return nil, err
	}
	chunks := make([]chunk, h.Chunks)
	for n := range chunks {
		if chunks[n], err = read[chunk](ctx, b.store, chunkKey(name, n)); err != nil {
			return nil, err
		}
	}
	return chunks, nil
}

func (b *Book) comparable(name string) (head, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h, ok := b.all[name]
	switch {
	case !ok:
		return h, b.unknown(name)
	case h.State == Collecting || h.State == TooSmall:
		return h, fmt.Errorf("%w: baseline %s is %s: it is not compared with", ErrRefused, name, h.State)
	}
	return h, nil
}
