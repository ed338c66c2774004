// This file is the protobuf wire format, as far as the stored records need it.

package openspans

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"
)

func appendKey(b []byte, k key) []byte {
	return appendBytes(appendBytes(b, fTrace, k.trace[:]), fSpan, k.span[:])
}

func appendBytes[T ~string | []byte](b []byte, num protowire.Number, v T) []byte {
	if len(v) == 0 {
		return b
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(len(v)))
	return append(b, v...)
}

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

// eachField calls do for each field of a message: n for numbers, v for bytes.
func eachField(b []byte, do func(num protowire.Number, n uint64, v []byte) error) error {
	for len(b) > 0 {
		num, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return fmt.Errorf("%w: %w", errRecord, protowire.ParseError(size))
		}
		b = b[size:]
		var n uint64
		var v []byte
		switch kind {
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v, size = protowire.ConsumeBytes(b)
		default:
			size = protowire.ConsumeFieldValue(num, kind, b)
		}
		if size < 0 {
			return fmt.Errorf("%w: %w", errRecord, protowire.ParseError(size))
		}
		b = b[size:]
		if err := do(num, n, v); err != nil {
			return err
		}
	}
	return nil
}

// encodeValues keeps attributes as the bytes of an OTLP Span that has nothing else.
func encodeValues(m pcommon.Map) []byte {
	s := ptrace.NewSpan()
	m.CopyTo(s.Attributes())
	return encodeSpan(s)
}

func decodeValues(b []byte) (pcommon.Map, error) {
	s, err := decodeSpan(b)
	if err != nil {
		return pcommon.Map{}, fmt.Errorf("%w: %w", errRecord, err)
	}
	return s.Attributes(), nil
}
