// This file knows which versions of the service are observed: a soak is about them, and begins anew when
// they change.

package migration

import (
	"slices"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

// Where a registration tells the version of what registered: labels or metadata.
var versionKeys = []string{"service.version", "service_version", "version"}

// serviceVersions are those that registered agents tell, sorted, each once.
func (m *migration) serviceVersions() []string {
	if m.agents == nil {
		return nil
	}
	var versions []string
	for _, a := range m.agents.Registered() {
		if v := versionOf(a); v != "" {
			versions = append(versions, v)
		}
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}

func versionOf(a *agents.Agent) string {
	for _, key := range versionKeys {
		if v := a.Labels[key]; v != "" {
			return v
		}
		if v, ok := a.Metadata[key].(string); ok && v != "" {
			return v
		}
	}
	return ""
}
