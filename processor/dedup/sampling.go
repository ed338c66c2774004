// This file decides which of the records that deduplication lets pass are kept.

package dedup

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"golang.org/x/time/rate"
)

// sampler decides record by record. Safe for concurrent use.
type sampler interface {
	// keep reports whether the record stays, and by what its weight is multiplied.
	keep(now int64, trace pcommon.TraceID) (kept bool, factor float64)
	// carries reports whether the weight of what is dropped rides on what passes next.
	carries() bool
}

// newSampler returns nil where every record stays: for always, and for reservoir, which is not decided record by record.
func newSampler(cfg *SamplingConfig) sampler {
	switch cfg.Strategy {
	case sampleNever:
		return never{}
	case sampleRandom:
		return newRandom(cfg.Probability)
	case sampleRateLimited:
		burst := cfg.Burst
		if burst == 0 {
			burst = max(1, int(math.Ceil(cfg.Rate)))
		}
		return rateLimited{rate.NewLimiter(rate.Limit(cfg.Rate), burst)}
	case sampleAdaptive:
		return newAdaptive(cfg.Target, cfg.Window)
	}
	return nil
}

type never struct{}

func (never) keep(int64, pcommon.TraceID) (bool, float64) { return false, 1 }
func (never) carries() bool                               { return true }

// random keeps a share of the records. For those with a trace id the decision is that of OpenTelemetry's
// consistent probability sampling (specification, "TraceState: Probability Sampling"): the trace's 56 random bits
// R against the rejection threshold T, kept if R >= T. So it is the same for all records of a trace, and for all
// samplers that follow the specification: a sampled trace keeps its events.
type random struct {
	threshold uint64
	factor    float64 // one over the probability that the threshold stands for
}

const randomRange = 1 << 56

func newRandom(probability float64) random {
	threshold := min(uint64(math.Round((1-probability)*randomRange)), randomRange-1)
	return random{threshold, randomRange / float64(randomRange-threshold)}
}

func (r random) keep(_ int64, trace pcommon.TraceID) (bool, float64) {
	var n uint64
	if trace.IsEmpty() {
		n = rand.Uint64N(randomRange)
	} else {
		n = binary.BigEndian.Uint64(trace[8:]) & (randomRange - 1)
	}
	return n >= r.threshold, r.factor
}

func (random) carries() bool { return false }

// rateLimited keeps as many a second as its token bucket gives.
type rateLimited struct{ limiter *rate.Limiter }

func (r rateLimited) keep(now int64, _ pcommon.TraceID) (bool, float64) {
	return r.limiter.AllowN(time.Unix(0, now), 1), 1
}

func (rateLimited) carries() bool { return true }

// adaptive keeps a target a second, evenly spread over whatever comes. It measures the rate over a sliding window of
// slices and keeps target/rate of the records by systematic sampling: each adds its share to a sum, and leaves when
// the sum passes one. So the number kept differs from its expectation by less than one.
type adaptive struct {
	target float64
	slice  int64 // ns

	mu      sync.Mutex
	counts  [adaptiveSlices]float64
	current int64 // number of the slice that is counted now
	first   int64 // number of the first slice ever
	began   int64 // ns, of the first record ever
	share   float64
	sum     float64
}

const adaptiveSlices = 20

func newAdaptive(target float64, window time.Duration) *adaptive {
	return &adaptive{target: target, slice: max(1, int64(window)/adaptiveSlices), share: 1}
}

func (a *adaptive) keep(now int64, _ pcommon.TraceID) (bool, float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.advance(now)
	a.counts[a.current%adaptiveSlices]++
	a.sum += a.share
	if a.sum < 1 {
		return false, 1
	}
	a.sum--
	return true, 1
}

// advance begins the slice that now is in, and measures the rate anew when it is another one.
func (a *adaptive) advance(now int64) {
	n := now / a.slice
	if a.began == 0 {
		a.began, a.current, a.first = now, n, n
	}
	if n <= a.current {
		// Within the first slice nothing is measured yet: the target itself is the bound.
		if a.current == a.first {
			a.share = a.firstShare(now)
		}
		return
	}
	for a.current < n {
		if n-a.current > adaptiveSlices {
			a.counts = [adaptiveSlices]float64{}
			a.current = n
			break
		}
		a.current++
		a.counts[a.current%adaptiveSlices] = 0
	}
	total := 0.0
	for _, c := range a.counts {
		total += c
	}
	// The current slice has just begun and counts nothing.
	span := min(now/a.slice*a.slice-a.began, (adaptiveSlices-1)*a.slice)
	a.share = 1
	if total > 0 && span > 0 {
		a.share = min(1, a.target*(float64(span)/float64(time.Second))/total)
	}
}

// firstShare keeps the first slice to its part of the target, once that is used up.
func (a *adaptive) firstShare(now int64) float64 {
	seen := a.counts[a.current%adaptiveSlices] + 1
	allowed := max(1, a.target*float64(now-a.began+int64(time.Millisecond))/float64(time.Second))
	return min(1, allowed/seen)
}

func (*adaptive) carries() bool { return true }
