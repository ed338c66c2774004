package foundation

import (
	"bytes"
	"encoding/json"
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

// wireEvent is an event as POST /v1/events takes it.
type wireEvent struct {
	Name         string       `json:"name"`
	Measurements Measurements `json:"measurements,omitempty"`
	Metadata     Metadata     `json:"metadata,omitempty"`
	Timestamp    int64        `json:"timestamp,omitempty"`
	Severity     string       `json:"severity,omitempty"`
	Body         string       `json:"body,omitempty"`
	AgentID      string       `json:"agent_id,omitempty"`
	Process      string       `json:"process,omitempty"`
	TraceID      string       `json:"trace_id,omitempty"`
	SpanID       string       `json:"span_id,omitempty"`
	DedupKey     string       `json:"dedup_key,omitempty"`
	OncePer      string       `json:"once_per,omitempty"`
	Batch        *wireBatch   `json:"batch,omitempty"`
}

type wireBatch struct {
	Key     string `json:"key"`
	Size    int    `json:"size,omitempty"`
	Timeout string `json:"timeout,omitempty"`
}

// ErrQueueFull says that an event was dropped, and counted, because too many wait.
var ErrQueueFull = errors.New("foundation: the queue is full; the event was dropped")

// ErrClosed says that an event was dropped, and counted, because the client is closed.
var ErrClosed = errors.New("foundation: the client is closed; the event was dropped")

// encoders are buffers with their encoders, for events in the making.
var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.json = json.NewEncoder(&e.line)
	e.json.SetEscapeHTML(false)
	return e
}}

type encoder struct {
	line bytes.Buffer
	json *json.Encoder
}

// Emit queues an event. It never waits for the agent. The error says that the event cannot be encoded, or
// was dropped; most callers need not look at it, since drops are counted (Stats) and reported to the agent.
func (c *Client) Emit(e Event) error {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.AgentID == "" {
		e.AgentID = c.agentID()
	}
	w := wireEvent{e.Name, e.Measurements, e.Metadata, e.Time.UnixNano(), e.Severity, e.Body, e.AgentID, e.Process,
		e.TraceID, e.SpanID, e.DedupKey, duration(e.OncePer), nil}
	if b := e.Batch; b != nil {
		w.Batch = &wireBatch{b.Key, b.Size, duration(b.Timeout)}
	}
	enc := encoders.Get().(*encoder)
	defer encoders.Put(enc)
	enc.line.Reset()
	if err := enc.json.Encode(&w); err != nil {
		return fmt.Errorf("event %q: %w", e.Name, err)
	}
	return c.events.put(enc.line.Bytes())
}

func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
