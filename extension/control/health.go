// This file keeps what the collector tells of its components' health.

package control

import (
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// health holds the last status of each component. Safe for concurrent use.
type health struct {
	mu   sync.Mutex
	last map[*componentstatus.InstanceID]operator.ComponentHealth
}

func newHealth() *health {
	return &health{last: map[*componentstatus.InstanceID]operator.ComponentHealth{}}
}

// ComponentStatusChanged implements componentstatus.Watcher.
func (c *control) ComponentStatusChanged(source *componentstatus.InstanceID, event *componentstatus.Event) {
	c.health.set(source, event)
}

func (h *health) set(source *componentstatus.InstanceID, event *componentstatus.Event) {
	v := operator.ComponentHealth{
		Kind:   strings.ToLower(source.Kind().String()),
		ID:     source.ComponentID().String(),
		Status: strings.TrimPrefix(event.Status().String(), "Status"),
		Since:  event.Timestamp().UTC().Truncate(time.Millisecond),
	}
	source.AllPipelineIDs(func(id pipeline.ID) bool {
		v.Pipelines = append(v.Pipelines, id.String())
		return true
	})
	if err := event.Err(); err != nil {
		v.Error = err.Error()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last[source] = v
}

// list returns the components by kind and id.
func (h *health) list() []operator.ComponentHealth {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]operator.ComponentHealth, 0, len(h.last))
	for _, v := range h.last {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b operator.ComponentHealth) int {
		return strings.Compare(a.Kind+"/"+a.ID, b.Kind+"/"+b.ID)
	})
	return out
}
