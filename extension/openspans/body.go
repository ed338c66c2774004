// This file is what a span says: as pdata while it is fresh, as bytes once they have been written anyway.

package openspans

import (
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"
)

// body is what one half, or several joined, say. Halves come as pdata and most spans end soon, so pdata they
// stay. Once a record of a body has been encoded, for storage or for delivery, its bytes take the pdata's
// place: they need a quarter of the memory, and no scan by the collector of garbage. The zero body says nothing.
// The table's lock guards it.
type body struct {
	span   ptrace.Span
	packed []byte // of an OTLP Span; nil while it is pdata
}

func (b *body) empty() bool { return b.packed == nil && b.span == (ptrace.Span{}) }

// pack returns the bytes of a body without ids and times, and keeps it as those.
func (b *body) pack() []byte {
	if b.span != (ptrace.Span{}) {
		b.span.SetStartTimestamp(0)
		b.span.SetEndTimestamp(0)
		b.span.SetTraceID(pcommon.TraceID{})
		b.span.SetSpanID(pcommon.SpanID{})
		b.span.SetParentSpanID(pcommon.SpanID{})
		*b = body{packed: encodeSpan(b.span)}
	}
	return b.packed
}

// open returns a body as pdata, and keeps it as that. Bytes that are no span stay as they are.
func (b *body) open() (ptrace.Span, error) {
	if b.packed != nil {
		span, err := decodeSpan(b.packed)
		if err != nil {
			return ptrace.Span{}, err
		}
		*b = body{span: span}
	}
	if b.span == (ptrace.Span{}) {
		b.span = ptrace.NewSpan()
	}
	return b.span, nil
}

// attributes are those of a body; none where it says nothing or cannot be read.
func (b *body) attributes() pcommon.Map {
	if !b.empty() {
		if span, err := b.open(); err == nil {
			return span.Attributes()
		}
	}
	return noAttributes
}

var noAttributes = pcommon.NewMap()

// add joins what came later to a body, and reports whether its events and links were all known.
func (b *body) add(later ptrace.Span) (repeats bool) {
	if b.empty() {
		b.span = later
		return false
	}
	span, err := b.open()
	return err == nil && join(span, later)
}

// join adds to a span what came later, as protobuf joins messages: of a scalar and of attributes of one key
// the later counts, events and links add up. Each event and link is left once: a sender whose end says all
// says again what its start said. It reports whether later had events or links, and none was new.
func join(s, later ptrace.Span) (repeats bool) {
	if name := later.Name(); name != "" {
		s.SetName(name)
	}
	if kind := later.Kind(); kind != ptrace.SpanKindUnspecified {
		s.SetKind(kind)
	}
	if state := later.TraceState().AsRaw(); state != "" {
		s.TraceState().FromRaw(state)
	}
	if flags := later.Flags(); flags != 0 {
		s.SetFlags(flags)
	}
	if code := later.Status().Code(); code != ptrace.StatusCodeUnset {
		s.Status().SetCode(code)
	}
	if message := later.Status().Message(); message != "" {
		s.Status().SetMessage(message)
	}
	if n := later.DroppedAttributesCount(); n != 0 {
		s.SetDroppedAttributesCount(n)
	}
	if n := later.DroppedEventsCount(); n != 0 {
		s.SetDroppedEventsCount(n)
	}
	if n := later.DroppedLinksCount(); n != 0 {
		s.SetDroppedLinksCount(n)
	}
	s.Attributes().EnsureCapacity(s.Attributes().Len() + later.Attributes().Len())
	for k, v := range later.Attributes().All() {
		v.MoveTo(s.Attributes().PutEmpty(k))
	}
	if later.Events().Len()+later.Links().Len() == 0 {
		return false
	}
	before := s.Events().Len() + s.Links().Len()
	later.Events().MoveAndAppendTo(s.Events())
	later.Links().MoveAndAppendTo(s.Links())
	dropRepeats(s)
	return s.Events().Len()+s.Links().Len() <= before
}

func dropRepeats(s ptrace.Span) {
	if s.Events().Len() > 1 {
		type event struct {
			at   pcommon.Timestamp
			name string
		}
		seen := make(map[event]bool, s.Events().Len())
		s.Events().RemoveIf(func(e ptrace.SpanEvent) bool {
			k := event{e.Timestamp(), e.Name()}
			known := seen[k]
			seen[k] = true
			return known
		})
	}
	if s.Links().Len() > 1 {
		seen := make(map[key]bool, s.Links().Len())
		s.Links().RemoveIf(func(l ptrace.SpanLink) bool {
			k := key{l.TraceID(), l.SpanID()}
			known := seen[k]
			seen[k] = true
			return known
		})
	}
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
	for _, number := range []protowire.Number{fieldResourceSpans, fieldScopeSpans, fieldSpans} {
		raw = field(raw, number)
	}
	return raw
}

// decodeSpan returns the span of the bytes of an OTLP Span.
func decodeSpan(raw []byte) (ptrace.Span, error) {
	inner := protowire.SizeTag(fieldSpans) + protowire.SizeBytes(len(raw))
	outer := protowire.SizeTag(fieldScopeSpans) + protowire.SizeBytes(inner)
	message := make([]byte, 0, outer+16)
	message = protowire.AppendVarint(protowire.AppendTag(message, fieldResourceSpans, protowire.BytesType), uint64(outer))
	message = protowire.AppendVarint(protowire.AppendTag(message, fieldScopeSpans, protowire.BytesType), uint64(inner))
	message = protowire.AppendVarint(protowire.AppendTag(message, fieldSpans, protowire.BytesType), uint64(len(raw)))
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(append(message, raw...))
	if err != nil {
		return ptrace.Span{}, err
	}
	return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0), nil
}
