// This file is the reservoir: a uniform sample of exactly k records of a window, by Vitter's algorithm R
// (Vitter, "Random Sampling with a Reservoir", 1985).

package dedup

import (
	"sync"
	"time"
)

// maxReservoir bounds the records that one reservoir holds.
const maxReservoir = 1 << 16

// sample is a record in a reservoir.
type sample struct {
	weight float64
	lanes  lanes
	kept   *kept
}

// reservoir of one rule. Its window starts with the first record that is offered.
type reservoir struct {
	size   int
	window int64 // ns

	mu      sync.Mutex
	samples []sample
	seen    int64
	end     int64            // unix ns
	changed map[int]struct{} // places not yet written to storage; nil without storage
	emptied bool             // released since the last write
}

func newReservoir(size int, window time.Duration) *reservoir {
	return &reservoir{size: size, window: int64(window)}
}

// offer gives a record its chance; draw is its luck, in [0, 1). What is left without a place, the record or another
// that it replaces, is returned.
func (r *reservoir) offer(now int64, draw float64, s sample) (dropped sample, full bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == 0 {
		r.end = now + r.window
	}
	r.seen++
	place := len(r.samples)
	if place >= r.size {
		place = int(draw * float64(r.seen))
	}
	switch {
	case place >= r.size || s.kept == nil: // not copied: the window that it had no chance in has just ended
		return s, true
	case place == len(r.samples):
		r.samples = append(r.samples, s)
	default:
		dropped, full = r.samples[place], true
		r.samples[place] = s
	}
	if r.changed != nil {
		r.changed[place] = struct{}{}
	}
	return dropped, full
}

// mayTake reports whether a record could get a place when it is offered after n others that are planned. Its chance
// only falls with what is offered meanwhile.
func (r *reservoir) mayTake(draw float64, n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return draw*float64(r.seen+n+1) < float64(r.size)
}

// wouldDrop is offer for a dry run: it reports whether a record would be left without a place.
func (r *reservoir) wouldDrop(now int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == 0 || now >= r.end {
		r.seen, r.end = 0, now+r.window
	}
	r.seen++
	return r.seen > int64(r.size)
}

// release returns the sample when the window has ended, or at once when told to.
func (r *reservoir) release(now int64, atOnce bool) []sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.samples) == 0 || now < r.end && !atOnce {
		return nil
	}
	released := r.samples
	r.samples, r.seen, r.emptied = nil, 0, true
	clear(r.changed)
	return released
}
