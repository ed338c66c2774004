// This file is the handle that a component holds of a flag, and who calls when it changes.

package flags

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

// handle is one boolean flag as a component sees it.
type handle struct {
	name       string
	slot       int
	state      *atomic.Pointer[state]
	dispatcher *dispatcher
}

// Name of the flag.
func (h *handle) Name() string { return h.name }

// Enabled is one atomic load.
func (h *handle) Enabled() bool { return h.state.Load().slots[h.slot] }

// OnChange calls fn after each change of Enabled, in order, outside locks, until stop is called. fn must
// not call stop itself.
func (h *handle) OnChange(fn func(enabled bool)) (stop func()) {
	return h.dispatcher.subscribe(h, fn)
}

// Bind returns the handle of a boolean flag. Each name has one slot for as long as the process lives.
func (e *flagsExtension) Bind(name string) (flag.Handle, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.state.Load()
	if f, ok := now.definitions.Flag(name); !ok || f.Type != flagd.Boolean {
		return nil, fmt.Errorf("flag %q is not a boolean flag of %s: there are %s",
			name, strings.Join(e.cfg.Files, ", "), strings.Join(booleanKeys(now.definitions), ", "))
	}
	slot := slices.Index(e.bound, name)
	if slot < 0 {
		slot = len(e.bound)
		e.bound = append(e.bound, name)
		e.state.Store(now.next(now.definitions, now.overrides, e.host, e.bound, now.at))
	}
	return &handle{name: name, slot: slot, state: &e.state, dispatcher: e.dispatcher}, nil
}

// Bound returns the names of the flags that components have bound.
func (e *flagsExtension) Bound() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(slices.Values(e.bound))
}

func booleanKeys(set *flagd.Set) []string {
	var keys []string
	for _, f := range set.Flags {
		if f.Type == flagd.Boolean {
			keys = append(keys, f.Key)
		}
	}
	return keys
}

// dispatcher calls the functions of OnChange, one after the other, from one goroutine.
type dispatcher struct {
	mu          sync.Mutex
	subscribers []*subscriber
	queue       []transition // oldest first
	wake        chan struct{}
	announce    func(transition) // called before the subscribers: one that hangs hides no change
}

// transition is that flags went from one state to the next, and why.
type transition struct {
	from, to *state
	cause    string
	by       flag.Author
}

// subscriber is one OnChange.
type subscriber struct {
	slot  int
	since uint64 // version of the state at the call of OnChange

	mu      sync.Mutex // held during fn, so that stop waits for it
	fn      func(enabled bool)
	stopped bool
}

func newDispatcher(announce func(transition)) *dispatcher {
	return &dispatcher{wake: make(chan struct{}, 1), announce: announce}
}

func (d *dispatcher) subscribe(h *handle, fn func(enabled bool)) (stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &subscriber{slot: h.slot, since: h.state.Load().version, fn: fn}
	d.subscribers = append(d.subscribers, s)
	return func() {
		d.mu.Lock()
		d.subscribers = slices.DeleteFunc(d.subscribers, func(other *subscriber) bool { return other == s })
		d.mu.Unlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stopped = true
	}
}

// put queues a transition. Callers put them in the order of their versions.
func (d *dispatcher) put(t transition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, t)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *dispatcher) take() ([]transition, []*subscriber) {
	d.mu.Lock()
	defer d.mu.Unlock()
	queue := d.queue
	d.queue = nil
	return queue, slices.Clone(d.subscribers)
}

// run calls subscribers until stop is closed; what is queued then is still told.
func (d *dispatcher) run(stop <-chan struct{}) {
	for {
		select {
		case <-d.wake:
			d.drain()
		case <-stop:
			d.drain()
			return
		}
	}
}

func (d *dispatcher) drain() {
	for {
		queue, subscribers := d.take()
		if len(queue) == 0 {
			return
		}
		for _, t := range queue {
			d.announce(t)
			for _, s := range subscribers {
				s.tell(t)
			}
		}
	}
}

func (s *subscriber) tell(t transition) {
	if t.to.version <= s.since || s.slot >= len(t.to.slots) || s.slot >= len(t.from.slots) {
		return // it happened before OnChange was called
	}
	if on := t.to.slots[s.slot]; on != t.from.slots[s.slot] {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.stopped {
			s.fn(on)
		}
	}
}
