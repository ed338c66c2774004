package foundation

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Measurements are an event's numbers. NaN and infinities are refused.
type Measurements map[string]float64

// Metadata is what else an event says: anything that encoding/json writes.
type Metadata map[string]any

// Event is something that happened. Only Name is needed.
type Event struct {
	Name         string        // "order.placed"
	Measurements Measurements  //
	Metadata     Metadata      //
	Time         time.Time     // when it happened; now where zero
	Severity     string        // "INFO", "ERROR", a level of syslog; none where empty
	Body         string        // a sentence for people
	AgentID      string        // where empty the agent that this process registered as
	Process      string        // within the agent: a worker's name
	TraceID      string        // hex
	SpanID       string        // hex
	DedupKey     string        // what makes two events of one name the same
	OncePer      time.Duration // at most one such event in this time
	Batch        *Batch        // gather events into one
}

// Batch asks the agent to gather the events of a key into one. A size or a timeout or both are needed.
type Batch struct {
	Key     string
	Size    int
	Timeout time.Duration
}

// ErrQueueFull says that an event was dropped, and counted, because too many wait.
var ErrQueueFull = errors.New("foundation: the queue is full; the event was dropped")

// ErrClosed says that an event was dropped, and counted, because the client is closed.
var ErrClosed = errors.New("foundation: the client is closed; the event was dropped")

// lines are buffers for events in the making.
var lines = sync.Pool{New: func() any { return new([]byte) }}

// Emit queues an event. It never waits for the agent. The error says that the event cannot be encoded, or
// was dropped; most callers need not look at it, since drops are counted (Stats) and reported to the agent.
func (c *Client) Emit(e Event) error {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.AgentID == "" {
		e.AgentID = c.agentID()
	}
	line := lines.Get().(*[]byte)
	defer lines.Put(line)
	var err error
	if *line, err = e.appendJSON((*line)[:0]); err != nil {
		return fmt.Errorf("event %q: %w", e.Name, err)
	}
	*line = append(*line, '\n')
	return c.events.put(*line)
}
