// This file is who watches: components in process, and streams of clients, counted and bounded.

package registry

import (
	"sync"
	"sync/atomic"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

// subscribe adds s, and returns what is and what went down lately, as of the same moment.
func (r *registry) subscribe(s *subscriber) (replay []agents.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for _, a := range r.all() {
		replay = append(replay, agents.Event{Type: agents.EventRegistered, At: a.RegisteredAt, Replay: true, Agent: a})
	}
	for _, d := range r.hub.subscribe(s, now) {
		replay = append(replay, agents.Event{Type: downEvent(&d), At: d.At, Replay: true, Down: &d})
	}
	return append(replay, agents.Event{Type: agents.EventSynced, At: now})
}

func downEvent(d *agents.Down) string {
	if d.Process != "" {
		return agents.EventProcessDown
	}
	return agents.EventDown
}

// Watch implements agents.Directory.
func (r *registry) Watch(fn func(agents.Event)) (stop func()) {
	s := newSubscriber(0)
	replay := r.subscribe(s)
	stopped := make(chan struct{})
	var running sync.WaitGroup
	r.inProcess.Add(1)
	running.Go(func() {
		deliver(replay, fn, stopped)
		for {
			select {
			case <-stopped:
				return
			case <-s.ready:
				events, _ := s.take()
				deliver(events, fn, stopped)
			}
		}
	})
	return sync.OnceFunc(func() {
		r.hub.unsubscribe(s)
		close(stopped)
		running.Wait()
		r.inProcess.Add(-1)
	})
}

func deliver(events []agents.Event, fn func(agents.Event), stopped <-chan struct{}) {
	for _, e := range events {
		select {
		case <-stopped:
			return
		default:
			fn(e)
		}
	}
}

// WatchDowns implements agents.Registry.
func (r *registry) WatchDowns(fn func(agents.Down)) (stop func()) {
	return r.Watch(func(e agents.Event) {
		if e.Down != nil {
			fn(*e.Down)
		}
	})
}

// streams counts the clients that watch.
type streams struct {
	total *atomic.Int64

	mu  sync.Mutex
	per map[account]int
}

func (s *streams) enter(of account, limits *LimitsConfig) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.total.Load() >= int64(limits.MaxWatchers):
		return nil, full("max_watchers", limits.MaxWatchers)
	case s.per[of] >= limits.MaxWatchersPerUID:
		return nil, full("max_watchers_per_uid", limits.MaxWatchersPerUID)
	}
	s.total.Add(1)
	s.per[of]++
	return func() { s.leave(of) }, nil
}

func (s *streams) leave(of account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total.Add(-1)
	if s.per[of]--; s.per[of] == 0 {
		delete(s.per, of)
	}
}
