// This file keeps resources and scopes once, however many spans share them.

package openspans

import (
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// shape is what spans of one resource and scope share, as bytes of OTLP: the fields of ResourceSpans but
// its scopes, and the fields of ScopeSpans but its spans.
type shape struct {
	key             shapeKey
	resource, scope []byte
	refs            int // entries that have it
}

// shapeKey tells shapes apart: the bytes of a Traces without spans.
type shapeKey string

// Field numbers of opentelemetry/proto/trace/v1/trace.proto.
const (
	fieldResourceSpans = 1 // of TracesData
	fieldScopeSpans    = 2 // of ResourceSpans
	fieldSpans         = 2 // of ScopeSpans
	fieldSpanName      = 5 // of Span
	fieldSpanEvents    = 11
	fieldSpanLinks     = 13
	fieldLinkTraceID   = 1 // of Span.Link
	fieldLinkSpanID    = 2
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
type shapes map[shapeKey]*shape

// take returns the shape of a key, made where absent, and counts one more entry that has it.
func (s shapes) take(k shapeKey) *shape {
	sh, ok := s[k]
	if !ok {
		sh = parseShape(k)
		s[k] = sh
	}
	sh.refs++
	return sh
}

// release counts one entry less.
func (s shapes) release(sh *shape) {
	if sh.refs--; sh.refs == 0 {
		delete(s, sh.key)
	}
}

func parseShape(k shapeKey) *shape {
	resourceSpans, _ := split([]byte(k), fieldResourceSpans)
	scopeSpans, resource := split(resourceSpans, fieldScopeSpans)
	return &shape{key: k, resource: resource, scope: scopeSpans}
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

// split returns the first field of a number in a message, and the bytes of all others.
func split(message []byte, number protowire.Number) (field, rest []byte) {
	for len(message) > 0 {
		num, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return field, rest
		}
		m := protowire.ConsumeFieldValue(num, kind, message[n:])
		if m < 0 {
			return field, rest
		}
		if num == number && kind == protowire.BytesType && field == nil {
			field, _ = protowire.ConsumeBytes(message[n:])
		} else {
			rest = append(rest, message[:n+m]...)
		}
		message = message[n+m:]
	}
	return field, rest
}

func appendMessage(to []byte, number protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), message)
}
