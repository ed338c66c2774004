// This file is one span in the table.

package openspans

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// key identifies a span.
type key struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

// state of an entry.
type state uint8

const (
	waiting state = iota // an end or an update came, its start has not
	open                 // started, not ended
	leaving              // ended, not yet taken by the next consumer
	gone                 // no longer in the table
)

// reason why a span ended.
type reason uint8

const (
	normal reason = iota
	agentDown
	processDown
	timedOut
	heartbeatLost
	evicted
	agentShutdown
	reasonCount
)

// reasonNames are the values of foundation.span.end_reason, and of the metric attribute.
var reasonNames = [reasonCount]string{"normal", "agent_down", "process_down", "timeout", "heartbeat_lost", "evicted", "agent_shutdown"}

func (r reason) String() string { return reasonNames[r] }

// entry is a span that the table holds: what is looked up often as fields, all else in its bodies. The
// table's lock guards it.
type entry struct {
	key
	parent pcommon.SpanID
	seq    uint64 // of its start, in the order in which the table saw them
	ref    ref    // where it is in the slab

	state   state
	reason  reason
	hasEnd  bool // an end has come
	managed bool // stacks, deadlines and deaths apply: as the flag was when it came
	inLeaf  bool // it stands in its agent's list of leaves
	whole   bool // base is the whole span, as it leaves
	// ownContext: attributes of base or more are error context.
	ownContext bool
	// synthetic spans are made by the self-check: they never leave and are not counted.
	synthetic bool
	dirty     bool // changed since the last write to storage
	stored    bool // storage knows it

	start, end int64 // unix ns as the caller says; 0 while unknown
	duration   int64 // the caller's monotonic duration; -1 where not given
	opened     int64 // when the table first saw it, unix ns
	closed     int64 // when it ended for the table, unix ns

	deadline  int64         // when the wheel is to look at it
	heartbeat time.Duration // how long the next half may take; 0: no heartbeat expected
	heard     int64         // when the last half came

	process  *process // whose stack and contexts it belongs to
	shape    *shape   // its resource and scope
	above    *entry   // its parent, which counts it as an open child; nil where none does
	children int32    // open spans that name it as their parent

	// base is what its start said (of the latest heartbeat), more what came since.
	base, more body
	// baseSize and moreSize are theirs in bytes of protobuf.
	baseSize, moreSize int32
	// context is what was pushed in it; nil for nothing. Once it is leaving, context.merged is what it left
	// with, where that is more than its own attributes.
	context *spanContext
	claims  *passage // the passage in which its complete span is on its way; nil for none

	links [linkKinds]link
	slot  *list // of the wheel; nil for none
	among *list // the stack or the loose spans of its process; nil for neither
}

// entryOverhead is an estimate of an entry's memory beyond the bytes of its protobuf: itself, its places in
// slab and index. What the few that are pdata need more is left out.
const entryOverhead = 512

func (e *entry) size() int64 {
	n := int64(entryOverhead) + int64(e.baseSize) + int64(e.moreSize)
	if e.context != nil {
		n += int64(e.context.bytes)
	}
	return n
}

// owner is the agent whose entry it is.
func (e *entry) owner() *agent { return e.process.agent }
