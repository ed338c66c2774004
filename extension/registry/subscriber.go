// This file is the queue between the hub and one watcher.

package registry

import (
	"sync"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

// subscriber is a queue of events that one watcher takes from.
type subscriber struct {
	limit int           // events that may wait; 0: as many as come
	ready chan struct{} // holds a token while there is something to take

	mu      sync.Mutex
	queue   []agents.Event
	overrun bool // it did not read, and is told nothing more
}

func newSubscriber(limit int) *subscriber {
	return &subscriber{limit: limit, ready: make(chan struct{}, 1)}
}

// put adds an event. It reports false for a subscriber that did not read.
func (s *subscriber) put(e agents.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit > 0 && len(s.queue) >= s.limit {
		s.overrun = true
	} else {
		s.queue = append(s.queue, e)
	}
	select {
	case s.ready <- struct{}{}:
	default:
	}
	return !s.overrun
}

// take returns what waits; ok is false once the subscriber was overrun.
func (s *subscriber) take() (events []agents.Event, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events, s.queue = s.queue, nil
	return events, !s.overrun
}

func (s *subscriber) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}
