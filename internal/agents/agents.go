// Package agents is how components see the agent registry: who lives here, who just died, and
// whether a caller may speak for an agent. The agent_registry extension provides it.
package agents

import (
	"time"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

// Reasons why an agent, or a process within it, is down.
const (
	ReasonExited         = "process_exit"      // the kernel told that the OS process ended (pidfd)
	ReasonProcessDown    = "process_down"      // the client told that a process within the agent ended
	ReasonLeaseLost      = "lease_lost"        // no heartbeat for the whole lease
	ReasonConnectionLost = "connection_closed" // the connection that the agent lived on closed
	ReasonGoodbye        = "unregistered"      // it said goodbye
	ReasonReplaced       = "replaced"          // another process took the id over
)

// Down says that an agent, or one process within it, has ended.
type Down struct {
	AgentID  string    `json:"agent_id"`
	Instance string    `json:"instance,omitempty"` // which life of that id ended
	Process  string    `json:"process,omitempty"`  // "" when the whole agent is down
	PID      int32     `json:"pid,omitempty"`
	Reason   string    `json:"reason"`           // one of the Reason constants
	Detail   string    `json:"detail,omitempty"` // what the client said: a BEAM exit reason
	Normal   bool      `json:"normal"`           // a normal end: no error
	ExitCode *int      `json:"exit_code,omitempty"`
	Signal   string    `json:"signal,omitempty"` // "SIGKILL", where the kernel tells
	At       time.Time `json:"at"`
}

// Registry is what the agent_registry extension offers to components. Safe for concurrent use.
type Registry interface {
	// Proves reports whether caller may speak for the agent: its peer process is the
	// registered one, or it holds the agent's token.
	Proves(caller door.Caller, agentID string) bool
	// AgentOf returns the agent that the caller's peer process registered as; false where it is none,
	// or several.
	AgentOf(caller door.Caller) (agentID string, ok bool)
	// WatchDowns calls fn for each death, in order, each once, from one goroutine of the registry's;
	// first for those that went down lately (also before this process started, when told by storage).
	// A slow fn delays only itself. When stop returns, fn is not running and will not be called again.
	WatchDowns(fn func(Down)) (stop func())
}
