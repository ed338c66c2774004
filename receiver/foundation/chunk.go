package foundation

import (
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/receiver/foundation/internal/metadata"
)

// chunkRecords is how many events go down the pipeline at once. A chunk is taken as a whole or not at all.
const chunkRecords = 1000

// chunk gathers events, those of one agent under one resource.
type chunk struct {
	logs   plog.Logs
	groups []group
	lines  []int // that the records came from, in order
	// records of senders that did not prove their agent id
	unproven int
}

type group struct {
	agentID  string
	unproven bool
	records  plog.LogRecordSlice
}

func newChunk() *chunk { return &chunk{logs: plog.NewLogs()} }

// add moves the event that d has decoded into the chunk.
func (c *chunk) add(agentID string, unproven bool, d *eventDecoder, line int) {
	c.lines = append(c.lines, line)
	if unproven {
		c.unproven++
	}
	d.moveTo(c.group(agentID, unproven).AppendEmpty())
}

// group finds the records of one agent: mostly the last one asked for, seldom one of many.
func (c *chunk) group(agentID string, unproven bool) plog.LogRecordSlice {
	for i := len(c.groups) - 1; i >= 0; i-- {
		if g := &c.groups[i]; g.agentID == agentID && g.unproven == unproven {
			return g.records
		}
	}
	resource := c.logs.ResourceLogs().AppendEmpty()
	if agentID != "" {
		resource.Resource().Attributes().PutStr(attr.AgentID, agentID)
	}
	if unproven {
		resource.Resource().Attributes().PutBool(attr.Unproven, true)
	}
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName(metadata.ScopeName)
	c.groups = append(c.groups, group{agentID, unproven, scope.LogRecords()})
	return scope.LogRecords()
}
