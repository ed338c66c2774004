// This file puts what an operator should see of the registry into the pipeline. Deaths are not among
// it: the spans' side tells them, with all that was open (the obituary).

package registry

import (
	"context"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
)

// eventBuffer is how many events wait for the receiver.
const eventBuffer = 1024

// told are the events that go into the pipeline, and how severe they are.
var told = map[string]struct {
	name     string
	severity plog.SeverityNumber
}{
	agents.EventRegistered:   {"foundation.agent.registered", plog.SeverityNumberInfo},
	agents.EventUnresponsive: {"foundation.agent.unresponsive", plog.SeverityNumberWarn},
	agents.EventResponsive:   {"foundation.agent.responsive", plog.SeverityNumberInfo},
	agents.EventClaimRefused: {"foundation.agent.claim_refused", plog.SeverityNumberWarn},
}

// reportEvents returns a function that passes events on until ctx ends.
func (r *registry) reportEvents(ctx context.Context) func() {
	stop := r.Watch(func(e agents.Event) {
		if kind, ok := told[e.Type]; ok && !e.Replay {
			r.events.Put(eventOf(kind.name, kind.severity, e))
		}
	})
	return func() {
		<-ctx.Done()
		stop()
	}
}

func eventOf(name string, severity plog.SeverityNumber, e agents.Event) extevent.Event {
	attributes := map[string]any{"agent.instance": e.Agent.Instance, "agent.watch": e.Agent.Watch}
	if e.Agent.PID != 0 {
		attributes["process.pid"] = int64(e.Agent.PID)
	}
	body := "agent " + e.Agent.ID + " is " + strings.ReplaceAll(e.Type, "_", " ")
	if e.Detail != "" {
		body += ": " + e.Detail
	}
	return extevent.Event{
		Name: name, Time: e.At, Severity: severity, Body: body,
		Attributes: attributes,
		Resource:   map[string]any{attr.AgentID: e.Agent.ID},
	}
}
