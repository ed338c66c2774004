package foundation

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/enforcement"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/host"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// startEnforcement finds the flag and shows operators what is found.
func (r *foundationReceiver) startEnforcement(h component.Host) error {
	cfg := r.cfg.Enforcement.Get()
	if cfg == nil {
		return nil
	}
	strict, err := flag.Find(h, cfg.Flags, "enforcement::flag", cfg.Flag)
	if err != nil {
		return err
	}
	r.policy = enforcement.New(r.set.ID.String(), *cfg, strict)
	if err := r.telemetry.builder.RegisterFoundationViolationsCallback(observeViolations(r.policy)); err != nil {
		return err
	}
	if r.cfg.Control == nil {
		return nil
	}
	control, err := host.Extension[operator.Registrar](h, "control", *r.cfg.Control)
	if err != nil {
		return err
	}
	r.hidePolicy = control.RegisterTable(r.policy)
	return nil
}

// enforce refuses a record of the old code path while enforcement is strict, and marks it before.
func (r *foundationReceiver) enforce(s *sender, agentID string, attributes pcommon.Map) error {
	if r.policy == nil {
		return nil
	}
	verdict, kind := r.policy.Check(enforcement.Record{
		Sender: s.name(agentID), Legacy: enforcement.IsLegacy(attributes), AgentID: agentID != "",
	})
	switch verdict {
	case enforcement.Refuse:
		if kind == enforcement.Legacy {
			return &rejection{reasonLegacy, "it is marked foundation.legacy, and the old code path is no longer taken; move its sender to the new one"}
		}
		return &rejection{reasonNoAgentID, "it names no agent; register, and give agent_id"}
	case enforcement.Found:
		attributes.PutStr(attr.Violation, kind.String())
	}
	return nil
}

// name says who makes the request, for people.
func (s *sender) name(agentID string) string {
	switch {
	case agentID != "":
		return agentID
	case s.caller.Local:
		return fmt.Sprintf("pid %d", s.caller.Peer.PID)
	}
	return "unknown"
}

func observeViolations(p *enforcement.Policy) metric.Int64Callback {
	return func(_ context.Context, o metric.Int64Observer) error {
		p.Each(func(kind string, refused, marked int64) {
			o.Observe(refused, metric.WithAttributes(attribute.String("kind", kind), attribute.Bool("refused", true)))
			o.Observe(marked, metric.WithAttributes(attribute.String("kind", kind), attribute.Bool("refused", false)))
		})
		return nil
	}
}
