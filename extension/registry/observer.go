// This file presents agents that announced an endpoint to receiver_creator, as an observer in contrib's sense.

package registry

import (
	"net/netip"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/observer"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

// observeEvery is how soon receiver_creator learns of an agent that came or went.
const observeEvery = time.Second

// agentEndpoint is a hostport (receiver_creator knows no type for agents) with what is known of the
// agent beside: a rule may read agent_id, labels and metadata.
type agentEndpoint struct {
	observer.HostPort
	agent *agents.Agent
}

// Env implements observer.EndpointDetails.
func (e *agentEndpoint) Env() observer.EndpointEnv {
	env := e.HostPort.Env()
	env["agent_id"] = e.agent.ID
	env["agent_instance"] = e.agent.Instance
	env["labels"] = e.agent.Labels
	env["metadata"] = e.agent.Metadata
	return env
}

// ListEndpoints implements endpointswatcher.EndpointsLister. While reads are off there are none.
func (r *registry) ListEndpoints() []observer.Endpoint {
	all, err := r.All()
	if err != nil {
		return nil
	}
	var endpoints []observer.Endpoint
	for _, a := range all {
		at, err := netip.ParseAddrPort(a.Endpoint)
		if err != nil {
			continue // it announced none
		}
		endpoints = append(endpoints, observer.Endpoint{
			ID:     observer.EndpointID("agent_registry/" + a.ID + "/" + a.Instance),
			Target: a.Endpoint,
			Details: &agentEndpoint{
				HostPort: observer.HostPort{Port: at.Port(), Transport: observer.ProtocolTCP, IsIPv6: at.Addr().Is6()},
				agent:    seenByRules(a),
			},
		})
	}
	return endpoints
}

// seenByRules is a without what every heartbeat changes, so that a beat does not restart a receiver.
func seenByRules(a *agents.Agent) *agents.Agent {
	return &agents.Agent{ID: a.ID, Instance: a.Instance, Labels: a.Labels, Metadata: a.Metadata}
}
