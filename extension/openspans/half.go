// This file reads a half span into what the table needs of it: a few fields, and bytes.

package openspans

import (
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

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
	bytes      []byte // of an OTLP Span without ids and times
	context    *pcommon.Map
	synthetic  bool
	unstacked  bool
	stripped   int // control attributes that were not the sender's to set
}

const (
	minHeartbeat = time.Second
	maxHeartbeat = 30 * 24 * time.Hour
)

// readHalf takes a span apart. The span is empty afterwards.
func readHalf(s ptrace.Span) half {
	h := half{
		key:      key{trace: s.TraceID(), span: s.SpanID()},
		parent:   s.ParentSpanID(),
		start:    int64(s.StartTimestamp()),
		end:      int64(s.EndTimestamp()),
		duration: -1,
	}
	h.readAttributes(s.Attributes())
	s.SetTraceID(pcommon.TraceID{})
	s.SetSpanID(pcommon.SpanID{})
	s.SetParentSpanID(pcommon.SpanID{})
	s.SetStartTimestamp(0)
	s.SetEndTimestamp(0)
	h.bytes = encodeSpan(s)
	return h
}

// readAttributes takes out the attributes that are meant for the table, and those that only the agent sets.
func (h *half) readAttributes(attributes pcommon.Map) {
	attributes.RemoveIf(func(k string, v pcommon.Value) bool {
		switch {
		case strings.HasPrefix(k, attr.ErrorContextPre):
			h.addContext(k, v)
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

func (h *half) addContext(k string, v pcommon.Value) {
	if h.context == nil {
		m := pcommon.NewMap()
		h.context = &m
	}
	v.CopyTo(h.context.PutEmpty(k))
}

// scratch is where a span is put to be encoded: pdata encodes whole Traces only.
type scratch struct {
	traces ptrace.Traces
	span   ptrace.Span
}

var scratches = sync.Pool{New: func() any {
	td := ptrace.NewTraces()
	return &scratch{traces: td, span: td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()}
}}

// encodeSpan returns the bytes of an OTLP Span. The span is empty afterwards.
func encodeSpan(s ptrace.Span) []byte {
	on := scratches.Get().(*scratch)
	defer scratches.Put(on)
	s.MoveTo(on.span)
	raw, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(on.traces)
	if err != nil { // the marshaler has no way to fail
		return nil
	}
	return innermost(raw)
}

// innermost returns the one span in the bytes of a Traces.
func innermost(raw []byte) []byte {
	for _, number := range []protowire.Number{fieldResourceSpans, fieldScopeSpans, fieldSpans} {
		raw = field(raw, number)
	}
	return raw
}
