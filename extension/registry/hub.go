// This file tells watchers what happens: in order, without ever waiting for one of them, and deaths paced.

package registry

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

// death is one that happened. It is kept for a while for those who begin to watch later.
type death struct {
	agents.Down
	told bool // else it waits in hub.untold
}

// hub passes events to subscribers. Its order is the registry's: all but the pacing of deaths happens
// under registry.mu.
type hub struct {
	cfg   DownsConfig
	pace  *rate.Limiter
	wake  chan struct{} // holds a token while untold may not be empty
	kicks atomic.Uint64 // subscribers that did not read

	mu     sync.Mutex
	seq    uint64
	subs   map[*subscriber]struct{}
	recent []*death // oldest first
	untold []*death // oldest first
}

// newHub tells up to a tenth of a second's deaths at once, and paces the rest.
func newHub(cfg DownsConfig) *hub {
	return &hub{
		cfg:  cfg,
		pace: rate.NewLimiter(rate.Limit(cfg.PerSecond), max(1, cfg.PerSecond/10)),
		wake: make(chan struct{}, 1),
		subs: map[*subscriber]struct{}{},
	}
}

// tell passes an event on. What is still untold of the same agent goes first.
func (h *hub) tell(e agents.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Agent != nil && len(h.untold) > 0 {
		h.untold = slices.DeleteFunc(h.untold, func(d *death) bool {
			if d.AgentID != e.Agent.ID {
				return false
			}
			h.tellDeath(d)
			return true
		})
	}
	h.emit(e)
}

// died keeps a death and tells it, now or when its turn comes.
func (h *hub) died(down agents.Down) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := &death{Down: down}
	h.keep(d, down.At)
	if len(h.untold) == 0 && h.pace.Allow() {
		h.tellDeath(d)
		return
	}
	h.untold = append(h.untold, d)
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// recall keeps a death of an earlier life of this process, as storage tells it.
func (h *hub) recall(down agents.Down, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.recent {
		if d.AgentID == down.AgentID && d.Instance == down.Instance && d.Process == down.Process && d.At.Equal(down.At) {
			return
		}
	}
	h.keep(&death{Down: down, told: true}, now)
}

func (h *hub) keep(d *death, now time.Time) {
	h.recent = append(h.recent, d)
	h.forget(now)
}

// forget drops what is too old or too much, but nothing untold: that is dropped by untold's own end.
func (h *hub) forget(now time.Time) {
	drop := max(0, len(h.recent)-h.cfg.Keep)
	for drop < len(h.recent) && now.Sub(h.recent[drop].At) > h.cfg.KeepFor {
		drop++
	}
	h.recent = slices.Delete(h.recent, 0, drop)
}

func (h *hub) tellDeath(d *death) {
	d.told = true
	typ := agents.EventDown
	if d.Process != "" {
		typ = agents.EventProcessDown
	}
	h.emit(agents.Event{Type: typ, At: d.At, Down: &d.Down})
}

func (h *hub) emit(e agents.Event) {
	h.seq++
	e.Seq = h.seq
	for s := range h.subs {
		if !s.put(e) {
			delete(h.subs, s)
			h.kicks.Add(1)
		}
	}
}

// paceDeaths tells what waits, until ctx ends.
func (h *hub) paceDeaths(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		}
		for h.waiting() > 0 {
			if h.pace.Wait(ctx) != nil {
				return
			}
			h.tellOldest()
		}
	}
}

func (h *hub) waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.untold)
}

func (h *hub) tellOldest() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.untold) == 0 {
		return
	}
	h.tellDeath(h.untold[0])
	h.untold = slices.Delete(h.untold, 0, 1)
}

// subscribe adds a subscriber and returns what was told of deaths lately.
func (h *hub) subscribe(s *subscriber, now time.Time) []agents.Down {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs[s] = struct{}{}
	return h.lately(now)
}

func (h *hub) unsubscribe(s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, s)
}

// downs returns the deaths that were told lately, oldest first.
func (h *hub) downs(now time.Time) []agents.Down {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lately(now)
}

func (h *hub) lately(now time.Time) []agents.Down {
	h.forget(now)
	var downs []agents.Down
	for _, d := range h.recent {
		if d.told {
			downs = append(downs, d.Down)
		}
	}
	return downs
}

// backlog is how many events the slowest in-process subscriber has before it.
func (h *hub) backlog() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	most := 0
	for s := range h.subs {
		most = max(most, s.waiting())
	}
	return most
}

// lastDown is how an agent went down lately.
func (h *hub) lastDown(id string) (down agents.Down, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range slices.Backward(h.recent) {
		if d.AgentID == id && d.Process == "" {
			return d.Down, true
		}
	}
	return down, false
}

// kept returns all deaths that are kept, told or not.
func (h *hub) kept() []agents.Down {
	h.mu.Lock()
	defer h.mu.Unlock()
	downs := make([]agents.Down, len(h.recent))
	for i, d := range h.recent {
		downs[i] = d.Down
	}
	return downs
}
