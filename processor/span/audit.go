// This file is the audit of the users' old code path: what passes is counted and marked, never refused.

package span

import (
	"go.opentelemetry.io/collector/component"

	"github.com/foundation-agent/foundation-agent/internal/enforcement"
	"github.com/foundation-agent/foundation-agent/internal/host"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// newAudit is nil, which finds nothing, where none is configured.
func newAudit(cfg *Config, id component.ID, signal string) *enforcement.Policy {
	audit := cfg.Enforcement.Get()
	if audit == nil {
		return nil
	}
	return enforcement.NewAudit(id.String()+"/"+signal, *audit)
}

// showAudit lets operators see what the audit finds, where there are both.
func showAudit(h component.Host, cfg *Config, audit *enforcement.Policy) (remove func(), err error) {
	if cfg.Control == nil || audit == nil {
		return func() {}, nil
	}
	control, err := host.Extension[operator.Registrar](h, "control", *cfg.Control)
	if err != nil {
		return nil, err
	}
	return control.RegisterTable(audit), nil
}
