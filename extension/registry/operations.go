// This file is what agents may do to the table: register, update, beat, report, say goodbye.

package registry

import (
	"net/http"
	"slices"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/proc"
)

// maxBacklog is how many events may wait for a component in process before clients must hold back.
const maxBacklog = 65_536

// registered is what a registration is answered with.
type registered struct {
	Agent *agents.Agent `json:"agent"`
	// Token proves the agent where the kernel does not. It is given once and kept as a hash only.
	Token string `json:"token,omitempty"`
	// Created says that a new life of the id began; false that the agent was updated.
	Created bool `json:"created"`
	// Shadow says that reads are off: the registration is only recorded.
	Shadow bool `json:"shadow,omitempty"`
}

// register makes the caller's agent known, or updates it.
func (r *registry) register(c caller, id string, req registration) (registered, error) {
	a, err := r.newAgent(c, id, req)
	if err != nil {
		return registered{}, err
	}
	own, token, p, err := r.prove(c, req.PID)
	if err != nil {
		return registered{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.admit(c, a, own, token, p, req)
}

// admit puts a into the table if its rules allow it. It takes p over. r.mu is held.
func (r *registry) admit(c caller, a *agents.Agent, own owner, token string, p *proc.Process, req registration) (registered, error) {
	old, taken := r.byID.Load(a.ID)
	if taken && old.sameLife(c, own, req.Instance) {
		closeProcess(p)
		return r.renew(old, a, req)
	}
	var replaced agents.Down
	if taken {
		var err error
		if replaced, err = r.yield(c, old, own); err != nil {
			closeProcess(p)
			return registered{}, err
		}
	}
	if err := r.room(a, own.account, old); err != nil {
		closeProcess(p)
		return registered{}, err
	}
	if taken {
		r.remove(old, replaced)
	}
	if p != nil {
		a.PID = p.PID
		if r.moveIn(p, a.ID) {
			a.Watch = agents.WatchPidfd
		}
	}
	r.setLease(a, req.Lease)
	e := &entry{owner: own}
	e.agent.Store(a)
	r.insert(e)
	r.store(record{Put: storedOf(e)})
	r.hub.tell(agents.Event{Type: agents.EventRegistered, At: a.RegisteredAt, Agent: a})
	return registered{Agent: a, Token: token, Created: true, Shadow: r.shadowWrite()}, nil
}

// renew updates the agent of the same process. r.mu is held.
func (r *registry) renew(e *entry, a *agents.Agent, req registration) (registered, error) {
	old := e.agent.Load()
	a.Instance, a.PID, a.Watch, a.RegisteredAt = old.Instance, old.PID, old.Watch, old.RegisteredAt
	if a.Vitals == nil {
		a.Vitals = old.Vitals
	}
	r.setLease(a, req.Lease)
	if err := r.roomForBytes(bytesOf(a) - e.bytes); err != nil {
		return registered{}, err
	}
	e.beat.Store(r.clock.now.Load())
	r.change(e, a, agents.EventUpdated)
	return registered{Agent: a, Shadow: r.shadowWrite()}, nil
}

// change shows, stores and tells another state of e. r.mu is held.
func (r *registry) change(e *entry, a *agents.Agent, event string) {
	r.replace(e, a)
	r.store(record{Put: storedOf(e)})
	r.hub.tell(agents.Event{Type: event, At: a.UpdatedAt, Agent: a})
}

// owned returns the entry of id if the caller may change it. r.mu is held.
func (r *registry) owned(c caller, id string) (*entry, error) {
	e, ok := r.byID.Load(id)
	if !ok {
		return nil, notFound(id)
	}
	if !c.operator && !e.is(c.Caller) {
		return nil, notProven(id)
	}
	return e, nil
}

// update merges a patch into what is known of the agent.
func (r *registry) update(c caller, id string, p patch) (*agents.Agent, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := r.owned(c, id)
	if err != nil {
		return nil, err
	}
	a, err := r.patched(c, e, p)
	if err != nil {
		return nil, err
	}
	if err := r.roomForBytes(bytesOf(a) - e.bytes); err != nil {
		return nil, err
	}
	r.change(e, a, agents.EventUpdated)
	r.shadowWrite()
	return a, nil
}

// beat is what a heartbeat brings.
type beat struct {
	Vitals       map[string]float64 `json:"vitals"`
	Health       string             `json:"health"`
	HealthDetail string             `json:"health_detail"`
}

// heartbeat renews the lease. Vitals and health that it brings replace those of the last one.
func (r *registry) heartbeat(c caller, id string, b beat) (*agents.Agent, error) {
	if err := r.checkVitals(b.Vitals); err != nil {
		return nil, err
	}
	if err := checkHealth(b.Health, b.HealthDetail); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := r.owned(c, id)
	if err != nil {
		return nil, err
	}
	old := e.agent.Load()
	a := *old
	a.LastBeat = r.now()
	a.State = agents.StateUp
	if b.Vitals != nil {
		a.Vitals = b.Vitals
	}
	if b.Health != "" {
		a.Health, a.HealthDetail = b.Health, b.HealthDetail
	}
	e.beat.Store(r.clock.now.Load())
	switch {
	case old.State == agents.StateUnresponsive:
		r.change(e, &a, agents.EventResponsive)
	case a.Health != old.Health || a.HealthDetail != old.HealthDetail:
		a.UpdatedAt = a.LastBeat
		r.change(e, &a, agents.EventUpdated)
	default:
		r.replace(e, &a) // a beat alone is no event, and is not worth a write
	}
	r.shadowWrite()
	return &a, nil
}

// unregister is an agent's goodbye.
func (r *registry) unregister(c caller, id, reason string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := r.owned(c, id)
	if err != nil {
		return err
	}
	r.remove(e, agents.Down{Reason: agents.ReasonGoodbye, Detail: reason, Normal: true})
	r.shadowWrite()
	return nil
}

// processDown takes an agent's word that a process within it has ended.
func (r *registry) processDown(c caller, id string, end processEnd) (agents.Down, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := r.owned(c, id)
	if err != nil {
		return agents.Down{}, err
	}
	old := e.agent.Load()
	if i := slices.Index(old.Processes, end.Process); i >= 0 {
		a := *old
		a.Processes = slices.Delete(slices.Clone(old.Processes), i, i+1)
		r.replace(e, &a)
		r.store(record{Put: storedOf(e)})
	}
	down := agents.Down{
		AgentID: id, Instance: old.Instance, Process: end.Process, PID: old.PID,
		Reason: agents.ReasonProcessDown, Detail: end.Reason, Normal: end.normal(), At: r.now(),
	}
	r.store(record{Down: &down})
	r.tally.died(down.Reason)
	r.hub.died(down)
	r.shadowWrite()
	return down, nil
}

// holdBack refuses writes that make events while a component is far behind with those before.
func (r *registry) holdBack() error {
	if n := r.hub.backlog(); n >= maxBacklog {
		return refuse(http.StatusTooManyRequests, outcomeLimited, "busy", "%d events wait to be told: try again in a second", n)
	}
	return nil
}

// shadowWrite counts a write, and reports whether it was only recorded.
func (r *registry) shadowWrite() bool {
	if r.flag.Enabled() {
		return false
	}
	r.tally.shadowWrites.Add(1)
	return true
}
