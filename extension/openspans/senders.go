// This file proves who a sender is.

package openspans

import (
	"context"

	"go.opentelemetry.io/collector/client"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// Sender proves an agent id by the caller at the applications' door, or by the agent token among the
// request's metadata (a receiver with include_metadata). Without a registry nobody can prove more than
// that they came through the applications' door, and there they are believed.
func (o *openSpans) Sender(ctx context.Context, agentID, process string) spans.Sender {
	caller, atDoor := door.CallerIn(ctx)
	if !atDoor {
		token := client.FromContext(ctx).Metadata.Get(door.TokenHeader)
		if len(token) == 0 {
			return o.unproven(agentID, process)
		}
		caller = door.Caller{Token: token[0]}
	}
	switch {
	case o.registry == nil && atDoor:
		return spans.Sender{Agent: agentID, Process: process}
	case o.registry == nil:
		return o.unproven(agentID, process)
	case agentID == "":
		agentID, _ = o.registry.AgentOf(caller)
		return spans.Sender{Agent: agentID, Process: process}
	case o.registry.Proves(caller, agentID):
		return spans.Sender{Agent: agentID, Process: process}
	default:
		return o.unproven(agentID, process)
	}
}

// unproven is the sender who claims what it cannot prove.
func (o *openSpans) unproven(claimed, process string) spans.Sender {
	if claimed != "" {
		o.table.stats.untrusted.Add(1)
	}
	return spans.Sender{Process: process}
}
