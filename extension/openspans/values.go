// This file is small things to do with attributes.

package openspans

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// put copies values over those that are there.
func put(to, values pcommon.Map) {
	for k, v := range values.All() {
		v.CopyTo(to.PutEmpty(k))
	}
}

// putAbsent copies the values that are not there.
func putAbsent(to, values pcommon.Map) {
	for k, v := range values.All() {
		putOneAbsent(to, k, v)
	}
}

func putOneAbsent(to pcommon.Map, k string, v pcommon.Value) {
	if _, taken := to.Get(k); !taken {
		v.CopyTo(to.PutEmpty(k))
	}
}

// prefixed returns values with error_context. before each key that does not have it.
func prefixed(values pcommon.Map) pcommon.Map {
	m := pcommon.NewMap()
	m.EnsureCapacity(values.Len())
	for k, v := range values.All() {
		if len(k) < len(attr.ErrorContextPre) || k[:len(attr.ErrorContextPre)] != attr.ErrorContextPre {
			k = attr.ErrorContextPre + k
		}
		v.CopyTo(m.PutEmpty(k))
	}
	return m
}

// unprefixed is the inverse of prefixed.
func unprefixed(values pcommon.Map) pcommon.Map {
	m := pcommon.NewMap()
	m.EnsureCapacity(values.Len())
	for k, v := range values.All() {
		v.CopyTo(m.PutEmpty(k[len(attr.ErrorContextPre):]))
	}
	return m
}

// sizeOf is the bytes of keys and values, as they would be encoded.
func sizeOf(m pcommon.Map) int {
	n := 0
	for k, v := range m.All() {
		n += len(k) + sizeOfValue(v)
	}
	return n
}

func sizeOfValue(v pcommon.Value) int {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return len(v.Str())
	case pcommon.ValueTypeBytes:
		return v.Bytes().Len()
	case pcommon.ValueTypeMap:
		return sizeOf(v.Map())
	case pcommon.ValueTypeSlice:
		n := 0
		for _, item := range v.Slice().All() {
			n += sizeOfValue(item)
		}
		return n
	default:
		return 8
	}
}
