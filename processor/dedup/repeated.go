// This file drops summaries of peers that come twice: delivery is at least once, and a summary says who it is.

package dedup

import (
	"errors"
	"slices"
	"sync"
)

// errSettling is retryable: whether the other one was taken decides what becomes of this one.
var errSettling = errors.New("event_dedup: a summary of this request is on its way already; retry later")

// recentEach is how many identities a generation holds, in about 10 MiB: of two, the older is forgotten when the
// younger is full.
const recentEach = 1 << 19

// recent knows the identities of summaries that came lately, by 64 bits of their hash.
type recent struct {
	mu    sync.Mutex
	young map[uint64]bool // true: the next consumer has taken it; false: it is on its way
	old   map[uint64]bool
}

func newRecent() *recent { return &recent{young: map[uint64]bool{}} }

// claim notes an identity. Known are those that have come before; of these, settled are those that were taken.
func (r *recent) claim(id uint64) (known, settled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if settled, known = r.young[id]; known {
		return known, settled
	}
	if settled, known = r.old[id]; known {
		return known, settled
	}
	if len(r.young) >= recentEach {
		r.young, r.old = map[uint64]bool{}, r.young
	}
	r.young[id] = false
	return false, false
}

// settle ends claims: taken, or forgotten so that their sender may come again.
func (r *recent) settle(ids []uint64, taken bool) {
	if len(ids) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		delete(r.old, id)
		if taken {
			r.young[id] = true
		} else {
			delete(r.young, id)
		}
	}
}

// identified is a record of the plan that says who it is.
type identified struct {
	record uint32
	id     uint64
}

// claim sorts out the records that have come before.
func (p *plan) claim(r *recent) error {
	for _, one := range p.identified {
		known, settled := r.claim(one.id)
		switch {
		case !known:
			p.claimed = append(p.claimed, one.id)
		case settled || slices.Contains(p.claimed, one.id): // or twice in this request
			p.records[one.record].verdict = again
		default:
			r.settle(p.claimed, false)
			return errSettling
		}
	}
	return nil
}
