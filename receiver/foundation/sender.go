package foundation

import (
	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
)

// sender is who makes a request, and for which agents it has been shown to speak. Used by one goroutine.
type sender struct {
	caller   door.Caller
	registry agents.Registry // nil: no agent id is doubted

	registered *string // the agent that the caller's process registered as ("" none), once asked
	claimed    string  // the last agent id asked about
	proven     bool    // and the answer
}

// identity says which agent a record is of, and whether the caller only claims so. Without an id it is
// the one that the caller's process registered as.
func (s *sender) identity(agentID string) (id string, unproven bool) {
	if s.registry == nil {
		return agentID, false
	}
	if agentID == "" {
		if s.registered == nil {
			s.registered = new(string)
			if own, ok := s.registry.AgentOf(s.caller); ok {
				s.registered = &own
			}
		}
		return *s.registered, false
	}
	if agentID != s.claimed {
		s.claimed, s.proven = agentID, s.registry.Proves(s.caller, agentID)
	}
	return agentID, !s.proven
}
