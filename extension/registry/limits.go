// This file holds what an agent says of itself against the rules and bounds of one entry.

package registry

import (
	"crypto/rand"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

const (
	maxID     = 256  // bytes of an agent's id, and of an instance's
	maxDetail = 1024 // bytes of texts for people: health detail, exit reason, a process's name
)

// reservedIDs are paths of the API where an id would stand.
var reservedIDs = map[string]bool{
	".": true, "..": true, "count": true, "downs": true, "ensure": true, "info": true,
	"openapi.yaml": true, "query": true, "watch": true,
}

// newAgent is the agent that a registration describes, held against the rules and bounds of one entry.
func (r *registry) newAgent(c caller, id string, req registration) (*agents.Agent, error) {
	if reservedIDs[id] {
		return nil, invalid("invalid_id", "%q is a path of this API: choose another id", id)
	}
	now := r.now()
	a := &agents.Agent{
		ID: id, Instance: req.Instance, Labels: req.Labels, Metadata: req.Metadata, Processes: req.Processes,
		Health: req.Health, HealthDetail: req.HealthDetail, Vitals: req.Vitals,
		State: agents.StateUp, Watch: agents.WatchLease, Via: c.via, RegisteredAt: now, UpdatedAt: now,
	}
	if a.Instance == "" {
		a.Instance = rand.Text()
	}
	if a.Health == "" {
		a.Health = agents.HealthUnknown
	}
	if err := r.checkAgent(a); err != nil {
		return nil, err
	}
	if err := r.checkVitals(a.Vitals); err != nil {
		return nil, err
	}
	if err := r.checkLease(req.Lease); err != nil {
		return nil, err
	}
	var err error
	a.Endpoint, err = r.checkEndpoint(c, req.Endpoint)
	return a, err
}

// checkAgent checks all but the vitals, the lease and the endpoint.
func (r *registry) checkAgent(a *agents.Agent) error {
	limits := &r.cfg.Limits
	if err := checkName("id", a.ID, maxID); err != nil {
		return err
	}
	if err := checkName("instance", a.Instance, maxID); err != nil {
		return err
	}
	if err := checkHealth(a.Health, a.HealthDetail); err != nil {
		return err
	}
	if len(a.Labels) > limits.MaxLabels {
		return tooLarge("max_labels", len(a.Labels), limits.MaxLabels)
	}
	for k, v := range a.Labels {
		if n := len(k) + len(v); n > limits.MaxLabelBytes {
			return tooLarge("max_label_bytes", n, limits.MaxLabelBytes)
		}
		if k == "" || !isText(k) || !isText(v) {
			return invalid("invalid_label", "label %q: keys and values are UTF-8 without control characters, keys not empty", k)
		}
	}
	if len(a.Processes) > limits.MaxProcesses {
		return tooLarge("max_processes", len(a.Processes), limits.MaxProcesses)
	}
	for _, p := range a.Processes {
		if err := checkName("process", p, maxDetail); err != nil {
			return err
		}
	}
	return checkMetadata(a.Metadata, limits)
}

func checkMetadata(metadata map[string]any, limits *LimitsConfig) error {
	if len(metadata) == 0 {
		return nil
	}
	if d := depth(metadata); d > limits.MaxMetadataDepth {
		return tooLarge("max_metadata_depth", d, limits.MaxMetadataDepth)
	}
	b, err := json.Marshal(metadata)
	if err != nil {
		return invalid("invalid_metadata", "metadata: %v", err)
	}
	if len(b) > limits.MaxMetadataBytes {
		return tooLarge("max_metadata_bytes", len(b), limits.MaxMetadataBytes)
	}
	return nil
}

// depth of nested objects and arrays: 1 for one that holds scalars only.
func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	case []any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	default:
		return 0
	}
	return deepest + 1
}

func checkHealth(health, detail string) error {
	switch health {
	case "", agents.HealthUnknown, agents.HealthHealthy, agents.HealthDegraded, agents.HealthUnhealthy:
	default:
		return invalid("invalid_health", "health is %q: %s, %s, %s or %s is allowed", health,
			agents.HealthHealthy, agents.HealthDegraded, agents.HealthUnhealthy, agents.HealthUnknown)
	}
	return checkDetail("health_detail", detail)
}

func checkDetail(key, text string) error {
	if len(text) > maxDetail || !utf8.ValidString(text) {
		return invalid("invalid_"+key, "%s is UTF-8 of at most %d bytes", key, maxDetail)
	}
	return nil
}

func (r *registry) checkVitals(vitals map[string]float64) error {
	if limit := r.cfg.Limits.MaxVitals; len(vitals) > limit {
		return tooLarge("max_vitals", len(vitals), limit)
	}
	for k, v := range vitals {
		if err := checkName("vital", k, maxID); err != nil {
			return err
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return invalid("invalid_vital", "vital %q is no finite number", k)
		}
	}
	return nil
}

func (r *registry) checkLease(asked *agents.Duration) error {
	if asked == nil || *asked == 0 {
		return nil
	}
	if d, l := time.Duration(*asked), r.cfg.Lease; d < l.Min || d > l.Max {
		return refuse(http.StatusUnprocessableEntity, outcomeInvalid, "lease_out_of_range",
			"lease is %v: from %v to %v is allowed, or 0s for none where the kernel tells of the process's end", d, l.Min, l.Max)
	}
	return nil
}

// checkName checks a text that names something: not empty, bounded, printable.
func checkName(key, name string, limit int) error {
	if name == "" || len(name) > limit || !isText(name) {
		return invalid("invalid_"+key, "%s %.64q: 1 to %d bytes of UTF-8 without control characters are allowed", key, name, limit)
	}
	return nil
}

func isText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
