// This file keeps resources and scopes once, however many spans share them.

package openspans

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// shape is what spans of one resource and scope share.
type shape struct {
	key  shapeKey
	like ptrace.ResourceSpans // with the one scope and no spans
	refs int                  // entries that have it
}

// shapeKey tells shapes apart: the bytes of a Traces without spans.
type shapeKey string

// Field numbers of opentelemetry/proto/trace/v1/trace.proto.
const (
	fieldResourceSpans = 1 // of TracesData
	fieldScopeSpans    = 2 // of ResourceSpans
	fieldSpans         = 2 // of ScopeSpans
)

// shapeKeyOf returns the key of the resource and scope that a half came in.
func shapeKeyOf(h spans.Half) shapeKey {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	h.Resource.CopyTo(rs.Resource())
	rs.SetSchemaUrl(h.ResourceSchema)
	ss := rs.ScopeSpans().AppendEmpty()
	h.Scope.CopyTo(ss.Scope())
	ss.SetSchemaUrl(h.ScopeSchema)
	raw, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil { // the marshaler has no way to fail
		return ""
	}
	return shapeKey(raw)
}

// shapes is the set of those in use. The table's lock guards it.
type shapes struct {
	byKey map[shapeKey]*shape
	// recent was asked for last, by recentKey: those of a batch have one key, whose bytes need no comparing.
	recent    *shape
	recentKey shapeKey
}

// take returns the shape of a key, made where absent, and counts one more entry that has it.
func (s *shapes) take(k shapeKey) *shape {
	if s.recent != nil && s.recentKey == k {
		s.recent.refs++
		return s.recent
	}
	sh, ok := s.byKey[k]
	if !ok {
		sh = &shape{key: k}
		sh.like, _ = k.decode() // it was made by shapeKeyOf, or decoded when it was read
		s.byKey[k] = sh
	}
	s.recent, s.recentKey = sh, k
	sh.refs++
	return sh
}

// release counts one entry less.
func (s *shapes) release(sh *shape) {
	if sh.refs--; sh.refs == 0 {
		delete(s.byKey, sh.key)
		if s.recent == sh {
			s.recent = nil
		}
	}
}

// decode returns the resource with its scope.
func (k shapeKey) decode() (ptrace.ResourceSpans, error) {
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces([]byte(k))
	if err != nil {
		return ptrace.ResourceSpans{}, fmt.Errorf("%w: resource: %w", errRecord, err)
	}
	if td.ResourceSpans().Len() != 1 || td.ResourceSpans().At(0).ScopeSpans().Len() != 1 {
		return ptrace.ResourceSpans{}, fmt.Errorf("%w: resource", errRecord)
	}
	return td.ResourceSpans().At(0), nil
}

// appendTo adds the resource and the scope to traces, and returns where their spans go.
func (sh *shape) appendTo(td ptrace.Traces) ptrace.SpanSlice {
	rs := td.ResourceSpans().AppendEmpty()
	sh.like.CopyTo(rs)
	return rs.ScopeSpans().At(0).Spans()
}

// field returns the first field of a number in a message; nil where there is none.
func field(message []byte, number protowire.Number) []byte {
	for len(message) > 0 {
		num, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		m := protowire.ConsumeFieldValue(num, kind, message[n:])
		if m < 0 {
			return nil
		}
		if num == number && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message[n:])
			return value
		}
		message = message[n+m:]
	}
	return nil
}

func appendMessage(to []byte, number protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), message)
}
