// This file is what the registry knows of an agent, and how others see it change.

package agents

import (
	"errors"
	"fmt"
	"time"
)

// States of an agent that is in the registry. One that is down is not in it any more.
const (
	StateUp           = "up"
	StateUnresponsive = "unresponsive" // beats are missing, but the process is alive
)

// Health as the agent itself says.
const (
	HealthUnknown   = "unknown"
	HealthHealthy   = "healthy"
	HealthDegraded  = "degraded"
	HealthUnhealthy = "unhealthy"
)

// How the registry learns of an agent's end.
const (
	WatchPidfd      = "pidfd"      // the kernel tells at once
	WatchLease      = "lease"      // by missing heartbeats
	WatchConnection = "connection" // by the connection that it lives on
)

// Agent is what the registry knows of one agent at one moment. It is never changed once it can be
// seen: treat its maps and slices as read-only.
type Agent struct {
	ID           string             `json:"id"`
	Instance     string             `json:"instance"`      // which life of the id this is
	PID          int32              `json:"pid,omitempty"` // proven by the kernel or given by an operator
	Endpoint     string             `json:"endpoint,omitempty"`
	Labels       map[string]string  `json:"labels,omitempty"`
	Metadata     map[string]any     `json:"metadata,omitempty"` // as encoding/json decodes it
	Processes    []string           `json:"processes,omitempty"`
	Health       string             `json:"health"`
	HealthDetail string             `json:"health_detail,omitempty"`
	Vitals       map[string]float64 `json:"vitals,omitempty"` // of the latest heartbeat
	Lease        Duration           `json:"lease,omitempty"`  // beats are expected within it; 0: none are
	State        string             `json:"state"`
	Watch        string             `json:"watch"`
	Via          string             `json:"via"` // how it registered: unix, tcp, operator or opamp
	RegisteredAt time.Time          `json:"registered_at"`
	UpdatedAt    time.Time          `json:"updated_at"`
	LastBeat     time.Time          `json:"last_beat,omitzero"`
}

// Types of events.
const (
	EventRegistered    = "registered"
	EventUpdated       = "updated"
	EventUnresponsive  = "unresponsive"
	EventResponsive    = "responsive"   // it beats again
	EventProcessDown   = "process_down" // a process within an agent ended
	EventDown          = "down"
	EventClaimRefused  = "claim_refused" // another process asked for a registered id, and did not get it
	EventSynced        = "synced"        // the replay is over: what follows happens now
	EventReadsDisabled = "reads_disabled"
	EventReadsEnabled  = "reads_enabled"
)

// Event is one change of the registry.
type Event struct {
	Seq    uint64    `json:"seq"` // of this process's life; a replay has 0
	Type   string    `json:"type"`
	At     time.Time `json:"at"`
	Replay bool      `json:"replay,omitempty"` // it happened before the watch began
	Agent  *Agent    `json:"agent,omitempty"`  // as it is now; of the holder, where a claim was refused
	Down   *Down     `json:"down,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// ErrNotFound says that no such agent is registered.
var ErrNotFound = errors.New("no such agent")

// ErrDisabled says that reads are switched off: registrations are recorded in shadow.
var ErrDisabled = errors.New("registry is disabled")

// Directory is what the agent_registry extension offers to those who look agents up.
type Directory interface {
	// Get returns an agent, ErrNotFound or ErrDisabled. It takes no lock and allocates nothing.
	Get(id string) (*Agent, error)
	// All returns every agent, in no order, or ErrDisabled.
	All() ([]*Agent, error)
	// Watch calls fn for each event, in order, from one goroutine of the registry's: first what is
	// registered and what went down lately (Replay), then EventSynced, then what happens. A slow fn
	// delays only itself. When stop returns, fn is not running and will not be called again.
	Watch(fn func(Event)) (stop func())
}

// Observer is what the agent_registry extension offers to those who watch over the agents themselves: it
// answers while reads are switched off for callers.
type Observer interface {
	// Registered returns every agent, in no order.
	Registered() []*Agent
}

// Duration is a time.Duration that JSON shows as Go writes it: "30s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(time.Duration(d).String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration: write it like 30s or 5m", text)
	}
	*d = Duration(v)
	return nil
}
