// This file reads a half span into what the table needs of it: a few fields, and the span itself.

package openspans

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// half is a half span as the table takes it.
type half struct {
	key
	parent     pcommon.SpanID
	start, end int64 // unix ns; 0 where absent
	duration   int64 // -1 where absent
	heartbeat  time.Duration
	process    string
	shape      shapeKey
	said       ptrace.Span
	size       int  // of the span, in bytes of protobuf
	context    bool // attributes of it are error context
	synthetic  bool
	unstacked  bool
	stripped   int // control attributes that were not the sender's to set
}

const (
	minHeartbeat = time.Second
	maxHeartbeat = 30 * 24 * time.Hour
)

// readHalf takes a span apart. The half keeps the span: nobody else may use it afterwards.
func readHalf(s ptrace.Span) half {
	h := half{
		key:      key{trace: s.TraceID(), span: s.SpanID()},
		parent:   s.ParentSpanID(),
		start:    int64(s.StartTimestamp()),
		end:      int64(s.EndTimestamp()),
		duration: -1,
	}
	h.readAttributes(s.Attributes())
	h.said, h.size = s, (&ptrace.ProtoMarshaler{}).SpanSize(s)
	return h
}

// readAttributes takes out the attributes that are meant for the table, and those that only the agent sets.
func (h *half) readAttributes(attributes pcommon.Map) {
	attributes.RemoveIf(func(k string, v pcommon.Value) bool {
		switch {
		case strings.HasPrefix(k, attr.ErrorContextPre):
			h.context = true
			return false
		case !strings.HasPrefix(k, attr.ControlPrefix):
			return false
		}
		switch k {
		case attr.Process:
			h.process = v.AsString()
			return false
		case attr.Legacy, attr.Violation:
			return false
		case attr.DurationNs:
			if v.Type() == pcommon.ValueTypeInt && v.Int() >= 0 {
				h.duration = v.Int()
			}
		case attr.Unstacked:
			h.unstacked = v.Bool()
		case attr.HeartbeatNs:
			if v.Type() == pcommon.ValueTypeInt && v.Int() > 0 {
				h.heartbeat = min(max(time.Duration(v.Int()), minHeartbeat), maxHeartbeat)
			}
		default:
			h.stripped++
		}
		return true
	})
}
