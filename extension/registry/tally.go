// This file counts, in atomics that the metrics observe.

package registry

import (
	"sync/atomic"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

// operation as the metrics name it.
type operation int

const (
	opRegister operation = iota
	opGet
	opList
	opCount
	opQuery
	opUpdate
	opHeartbeat
	opUnregister
	opProcessDown
	opWatch
	opInfo
	opEnsure
	opCountOf
)

var operationNames = [opCountOf]string{
	"register", "get", "list", "count", "query", "update", "heartbeat", "unregister", "process_down", "watch", "info", "ensure",
}

// deathReasons are all that a Down may have.
var deathReasons = [...]string{
	agents.ReasonExited, agents.ReasonProcessDown, agents.ReasonLeaseLost,
	agents.ReasonConnectionLost, agents.ReasonGoodbye, agents.ReasonReplaced,
}

// tally is what the registry has done since it started.
type tally struct {
	operations   [opCountOf][outcomeCount]atomic.Int64
	deaths       [len(deathReasons)]atomic.Int64
	shadowWrites atomic.Int64
	shadowReads  atomic.Int64
	streams      atomic.Int64 // watching now
}

func (t *tally) died(reason string) {
	for i, known := range deathReasons {
		if known == reason {
			t.deaths[i].Add(1)
		}
	}
}
