// This file pins what the operators' API answers of open spans and error contexts.

package operator

import "time"

// OpenSpans is what GET /v1/spans answers, the longest open first. Parameters: agent_id, process,
// trace_id, and limit (100 where absent).
type OpenSpans struct {
	Spans []OpenSpan `json:"spans"`
	Total int        `json:"total"` // that match, also beyond the limit
}

// OpenSpan is one span that has started and not ended.
type OpenSpan struct {
	AgentID    string         `json:"agent_id,omitempty"` // "" where the sender is not proven
	Process    string         `json:"process,omitempty"`
	TraceID    string         `json:"trace_id"`
	SpanID     string         `json:"span_id"`
	ParentID   string         `json:"parent_id,omitempty"`
	Name       string         `json:"name"`
	Service    string         `json:"service,omitempty"` // service.name of its resource
	StartedAt  time.Time      `json:"started_at"`
	Depth      int            `json:"depth,omitempty"`   // in its process's stack; the outermost is 1
	Deadline   time.Time      `json:"deadline,omitzero"` // when it is ended for want of an end
	Waiting    bool           `json:"waiting,omitempty"` // its start has not come yet: an end or an update waits
	Attributes map[string]any `json:"attributes,omitempty"`
}

// ProcessContext is what GET /v1/context answers. Parameters: agent_id and process ("" is the agent's main).
type ProcessContext struct {
	AgentID string           `json:"agent_id"`
	Process string           `json:"process,omitempty"`
	Merged  map[string]any   `json:"merged"` // what its records gain, keys without prefix
	Pushed  []map[string]any `json:"pushed"` // the contexts one by one, the outermost first
	Stack   []OpenSpan       `json:"stack"`  // its open spans, the outermost first
}
