// This file is the table of agents: what readers find without a lock, and what writers change under one.

package registry

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/extension/registry/internal/cowmap"
	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/journal"
	"github.com/foundation-agent/foundation-agent/internal/proc"
)

// registry is the table and its rules. It knows nothing of HTTP.
type registry struct {
	cfg    *Config
	ports  []portRange
	logger *zap.Logger
	now    func() time.Time
	hub    *hub
	events *extevent.Buffer // for the pipeline
	clock  leaseClock

	// Set before the first call, then never changed.
	flag    flag.Handle
	watcher *proc.Watcher // nil where the system has no pidfds
	noPidfd error         // why it has none
	log     *journal.Log  // nil without storage

	byID  *cowmap.Map[string, *entry]    // changed under mu
	byPID *cowmap.Map[int32, *inhabited] // changed under mu
	bytes atomic.Int64                   // changed under mu
	tally tally

	inProcess atomic.Int64 // watchers
	streams   streams

	mu       sync.Mutex // serialises all changes; readers never take it
	accounts map[account]int
}

// inhabited is an OS process in which agents live. It is replaced, never changed.
type inhabited struct {
	proc.Identity
	unwatch func() // nil where only a lease tells of its end
	ids     []string
}

func newRegistry(cfg *Config, logger *zap.Logger) (*registry, error) {
	ports, err := parsePorts(cfg.Endpoint.AllowedPorts)
	if err != nil {
		return nil, err
	}
	seed := maphash.MakeSeed()
	r := &registry{
		cfg:      cfg,
		ports:    ports,
		logger:   logger,
		now:      time.Now,
		hub:      newHub(cfg.Downs),
		events:   extevent.NewBuffer(eventBuffer),
		flag:     flag.On,
		byID:     cowmap.New[string, *entry](func(id string) uint64 { return maphash.String(seed, id) }),
		byPID:    cowmap.New[int32, *inhabited](func(pid int32) uint64 { return uint64(pid) }),
		accounts: map[account]int{},
	}
	r.streams = streams{total: &r.tally.streams, per: map[account]int{}}
	return r, nil
}

// Get implements agents.Directory.
func (r *registry) Get(id string) (*agents.Agent, error) {
	if !r.flag.Enabled() {
		return nil, agents.ErrDisabled
	}
	e, ok := r.byID.Load(id)
	if !ok {
		return nil, agents.ErrNotFound
	}
	return e.agent.Load(), nil
}

// All implements agents.Directory.
func (r *registry) All() ([]*agents.Agent, error) {
	if !r.flag.Enabled() {
		return nil, agents.ErrDisabled
	}
	return r.all(), nil
}

// Registered implements agents.Observer.
func (r *registry) Registered() []*agents.Agent { return r.all() }

func (r *registry) all() []*agents.Agent {
	all := make([]*agents.Agent, 0, r.byID.Len())
	for _, e := range r.byID.All() {
		all = append(all, e.agent.Load())
	}
	return all
}

// Proves implements agents.Registry.
func (r *registry) Proves(caller door.Caller, agentID string) bool {
	e, ok := r.byID.Load(agentID)
	return ok && e.is(caller)
}

// AgentOf implements agents.Registry.
func (r *registry) AgentOf(caller door.Caller) (string, bool) {
	if !caller.Local {
		return "", false
	}
	p, ok := r.byPID.Load(caller.Peer.PID)
	if !ok || len(p.ids) != 1 || !sameStart(p.Start, caller.Peer.Start) {
		return "", false
	}
	return p.ids[0], true
}

// insert puts e into the table, in the place of the entry that it replaces. r.mu is held.
func (r *registry) insert(e *entry) {
	a := e.agent.Load()
	e.bytes = bytesOf(a)
	e.beat.Store(r.clock.now.Load())
	r.bytes.Add(e.bytes)
	r.accounts[e.account]++
	r.byID.Store(a.ID, e)
}

// replace shows readers another state of e. r.mu is held.
func (r *registry) replace(e *entry, a *agents.Agent) {
	size := bytesOf(a)
	r.bytes.Add(size - e.bytes)
	e.bytes = size
	e.agent.Store(a)
}

// remove takes e out of the table and tells its death, completed from what is known. r.mu is held.
func (r *registry) remove(e *entry, down agents.Down) {
	a := e.agent.Load()
	down.AgentID, down.Instance, down.PID = a.ID, a.Instance, a.PID
	if down.At.IsZero() {
		down.At = r.now()
	}
	r.takeOut(e)
	r.store(record{Del: a.ID}, record{Down: &down})
	r.tally.died(down.Reason)
	r.hub.died(down)
}

// takeOut is insert's opposite. r.mu is held.
func (r *registry) takeOut(e *entry) {
	id := e.agent.Load().ID
	r.byID.Delete(id)
	r.bytes.Add(-e.bytes)
	if r.accounts[e.account]--; r.accounts[e.account] == 0 {
		delete(r.accounts, e.account)
	}
	r.moveOut(e.process.PID, id)
}

// moveIn notes that the agent lives in p, whose end is then its own. It takes p over, and reports
// whether the kernel will tell of the end. r.mu is held.
func (r *registry) moveIn(p *proc.Process, id string) (watched bool) {
	if in, ok := r.byPID.Load(p.PID); ok && in.Start == p.Start {
		p.Close() // it is watched already
		if !slices.Contains(in.ids, id) {
			next := *in
			next.ids = append(slices.Clone(in.ids), id)
			r.byPID.Store(p.PID, &next)
		}
		return in.unwatch != nil
	}
	if in, ok := r.byPID.Load(p.PID); ok {
		r.ended(in, proc.Exit{}) // another life of the pid: the watcher has not come to it yet
	}
	in := &inhabited{Identity: p.Identity, ids: []string{id}}
	if r.watcher != nil {
		in.unwatch, watched = r.watcher.Watch(p, func(exit proc.Exit) { r.exited(p.Identity, exit) })
	} else {
		p.Close()
	}
	r.byPID.Store(p.PID, in)
	return watched
}

// moveOut forgets that the agent lives in process pid. r.mu is held.
func (r *registry) moveOut(pid int32, id string) {
	in, ok := r.byPID.Load(pid)
	if !ok || !slices.Contains(in.ids, id) {
		return
	}
	next := *in
	next.ids = slices.DeleteFunc(slices.Clone(in.ids), func(other string) bool { return other == id })
	if len(next.ids) > 0 {
		r.byPID.Store(pid, &next)
		return
	}
	if in.unwatch != nil {
		in.unwatch()
	}
	r.byPID.Delete(pid)
}

// exited is called by the watcher when a process has ended.
func (r *registry) exited(id proc.Identity, exit proc.Exit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in, ok := r.byPID.Load(id.PID); ok && in.Identity == id {
		r.ended(in, exit)
	}
}

// ended takes all agents of a process down. r.mu is held.
func (r *registry) ended(in *inhabited, exit proc.Exit) {
	for _, id := range in.ids {
		if e, ok := r.byID.Load(id); ok && e.process == in.Identity {
			r.remove(e, downByExit(exit))
		}
	}
}

func downByExit(exit proc.Exit) agents.Down {
	down := agents.Down{Reason: agents.ReasonExited}
	switch {
	case exit.Signal != "":
		down.Signal = exit.Signal
	case exit.Known:
		down.ExitCode = &exit.Code
		down.Normal = exit.Code == 0
	}
	return down
}
