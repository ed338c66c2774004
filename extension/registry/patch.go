// This file merges a patch into what is known of an agent.

package registry

import (
	"maps"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

// patched is the agent as it would be with p, held against the rules of one entry.
func (r *registry) patched(c caller, e *entry, p patch) (*agents.Agent, error) {
	a := *e.agent.Load()
	if p.Labels != nil {
		a.Labels = mergeLabels(a.Labels, p.Labels)
	}
	if p.Metadata != nil {
		a.Metadata = mergePatch(a.Metadata, p.Metadata)
	}
	if p.Processes != nil {
		a.Processes = *p.Processes
	}
	if p.Health != nil {
		a.Health = *p.Health
	}
	if p.HealthDetail != nil {
		a.HealthDetail = *p.HealthDetail
	}
	if p.Endpoint != nil {
		endpoint, err := r.checkEndpoint(c, *p.Endpoint)
		if err != nil {
			return nil, err
		}
		a.Endpoint = endpoint
	}
	if p.Lease != nil {
		if err := r.checkLease(p.Lease); err != nil {
			return nil, err
		}
		r.setLease(&a, p.Lease)
	}
	a.UpdatedAt = r.now()
	return &a, r.checkAgent(&a)
}

func mergeLabels(labels map[string]string, changes map[string]*string) map[string]string {
	merged := maps.Clone(labels)
	if merged == nil {
		merged = map[string]string{}
	}
	for k, v := range changes {
		if v == nil {
			delete(merged, k)
		} else {
			merged[k] = *v
		}
	}
	return merged
}

// mergePatch is JSON Merge Patch (RFC 7396) of objects. It changes neither argument.
func mergePatch(target map[string]any, changes map[string]any) map[string]any {
	merged := maps.Clone(target)
	if merged == nil {
		merged = map[string]any{}
	}
	for k, v := range changes {
		switch v := v.(type) {
		case nil:
			delete(merged, k)
		case map[string]any:
			inner, _ := merged[k].(map[string]any)
			merged[k] = mergePatch(inner, v)
		default:
			merged[k] = v
		}
	}
	return merged
}
