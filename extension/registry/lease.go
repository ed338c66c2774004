// This file measures leases by time in which the agent itself could read, and acts on those that lapse.

package registry

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

const (
	sweepEvery = 100 * time.Millisecond
	minLease   = 500 * time.Millisecond
	// recheckEvery is how often an unresponsive process that no pidfd watches is looked up.
	recheckEvery = time.Second
)

// leaseClock counts time in which the agent could read. A beat that arrives while the agent is stopped
// (SIGSTOP, a suspended machine, no CPU) waits in a socket, so that time must not count against a lease.
type leaseClock struct {
	now  atomic.Int64 // nanoseconds
	last time.Time    // of the sweeper alone
}

// tick advances the clock and reports whether the agent ran since the last tick. After a gap what
// waits in the sockets must be read before any lease is judged.
func (c *leaseClock) tick(at time.Time) (ran bool) {
	elapsed := at.Sub(c.last)
	c.last = at
	c.now.Add(int64(min(elapsed, 2*sweepEvery)))
	return elapsed <= 2*sweepEvery
}

// sweepLeases runs until ctx ends.
func (r *registry) sweepLeases(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	r.clock.last = time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-ticker.C:
			if r.clock.tick(at) {
				r.sweep()
			}
		}
	}
}

func (r *registry) sweep() {
	now := r.clock.now.Load()
	for _, e := range r.byID.All() {
		if lapsed(e, now) {
			r.lapse(e, now)
		}
	}
}

func lapsed(e *entry, now int64) bool {
	lease := int64(e.agent.Load().Lease)
	return lease > 0 && now-e.beat.Load() > lease
}

// lapse judges an agent that was not heard of for its whole lease. A process that still lives is
// unresponsive, not down.
func (r *registry) lapse(e *entry, now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if held, ok := r.byID.Load(e.agent.Load().ID); !ok || held != e || !lapsed(e, now) {
		return // it was heard of, or has gone, in between
	}
	a := e.agent.Load()
	switch {
	case a.Watch == agents.WatchPidfd:
		r.setUnresponsive(e)
	case e.process.Start == 0:
		r.remove(e, agents.Down{Reason: agents.ReasonLeaseLost, Detail: "no heartbeat for " + time.Duration(a.Lease).String()})
		if e.conn != nil {
			e.conn.hangUp()
		}
	case e.recheck > now:
	case e.process.Gone():
		r.remove(e, agents.Down{Reason: agents.ReasonExited, Detail: "found gone after its lease lapsed"})
	default:
		e.recheck = now + int64(recheckEvery)
		r.setUnresponsive(e)
	}
}

func (r *registry) setUnresponsive(e *entry) {
	old := e.agent.Load()
	if old.State == agents.StateUnresponsive {
		return
	}
	a := *old
	a.State = agents.StateUnresponsive
	e.agent.Store(&a)
	r.hub.tell(agents.Event{Type: agents.EventUnresponsive, At: r.now(), Agent: &a,
		Detail: "no heartbeat for " + time.Duration(a.Lease).String() + ", the process is alive"})
}

// setLease gives an agent the lease that it asked for, or the default where nothing else tells of its end.
func (r *registry) setLease(a *agents.Agent, asked *agents.Duration) {
	switch {
	case asked != nil && *asked != 0:
		a.Lease = *asked
	case a.Watch == agents.WatchLease:
		a.Lease = agents.Duration(r.cfg.Lease.Default)
	default:
		a.Lease = 0
	}
}
