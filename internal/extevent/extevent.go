// Package extevent carries events of extensions (a flag changed, an agent went down) to the
// foundation receiver, which puts them into the pipeline. Extensions start before pipelines, so
// what happens before the receiver takes them waits in a bounded buffer.
package extevent

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// Event is one record to be: an EventName, attributes in pcommon.Map.FromRaw's types, and a body for people.
type Event struct {
	Name       string
	Time       time.Time
	Severity   plog.SeverityNumber
	Body       string
	Attributes map[string]any
	// Resource attributes beside the agent's own; agent.id of the agent that the event is about.
	Resource map[string]any
}

// Source is an extension that tells events. One receiver takes them.
type Source interface {
	Events() *Buffer
}

// Buffer is a bounded queue of events: when it is full the oldest is dropped and counted. Safe for
// concurrent use.
type Buffer struct {
	mu      sync.Mutex
	events  []Event // oldest first
	limit   int
	dropped uint64
	ready   chan struct{} // holds a token while events is not empty
}

// NewBuffer returns a buffer of at most limit events.
func NewBuffer(limit int) *Buffer {
	return &Buffer{limit: limit, ready: make(chan struct{}, 1)}
}

// Put adds an event. It never blocks.
func (b *Buffer) Put(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.events) == b.limit {
		b.events = b.events[1:]
		b.dropped++
	}
	b.events = append(b.events, e)
	b.signal()
}

// Next waits for the oldest event and takes it out.
func (b *Buffer) Next(ctx context.Context) (Event, error) {
	for {
		select {
		case <-ctx.Done():
			return Event{}, ctx.Err()
		case <-b.ready:
		}
		if e, ok := b.TryNext(); ok {
			return e, nil
		}
	}
}

// TryNext takes the oldest event out, where there is one.
func (b *Buffer) TryNext() (Event, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.events) == 0 {
		return Event{}, false
	}
	e := b.events[0]
	b.events[0] = Event{}
	b.events = b.events[1:]
	if len(b.events) > 0 {
		b.signal()
	}
	return e, true
}

func (b *Buffer) signal() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// Dropped is how many events the bound has cost.
func (b *Buffer) Dropped() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}
