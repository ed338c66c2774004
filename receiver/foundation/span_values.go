package foundation

import (
	"encoding/hex"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// attributesField reads an object of attributes; their keys are not empty.
func (o *objectReader) attributesField(field string, m *xpdata.MapBuilder) error {
	return o.fields(field, func(name []byte) error {
		if len(name) == 0 {
			return invalid(field, "a key is empty")
		}
		return o.value(m.AppendEmpty(o.names.intern(name)), 1)
	})
}

// mapField reads an object of attributes into dest.
func (o *objectReader) mapField(field string, dest pcommon.Map) error {
	var m xpdata.MapBuilder
	if err := o.attributesField(field, &m); err != nil {
		return err
	}
	m.UnsafeIntoMap(dest) // the decoder allows no name twice
	return nil
}

// each calls item for each element of an array; a null is an empty one.
func (o *objectReader) each(field string, item func() error) error {
	token, err := o.dec.ReadToken()
	if err != nil || token.Kind() == 'n' {
		return err
	}
	if token.Kind() != '[' {
		return invalid(field, "%s is not allowed; give an array", kindName(token.Kind()))
	}
	for o.dec.PeekKind() != ']' {
		if o.values++; o.values > maxValues {
			return &rejection{reasonInvalidField, fmt.Sprintf("more than %d values in one object; send less at a time", maxValues)}
		}
		if err := item(); err != nil {
			return err
		}
	}
	_, err = o.dec.ReadToken()
	return err
}

// traceparent reads the header of that name (W3C Trace Context, level 1, section 3.2): later versions may
// have more fields at the end.
func (o *objectReader) traceparent(p *spans.Propagation) error {
	s, err := o.text("traceparent")
	if err != nil {
		return err
	}
	parts := strings.Split(s, "-")
	var version, flags [1]byte
	ok := len(parts) >= 4 && (len(parts) == 4 || parts[0] != "00") &&
		hexInto(version[:], parts[0]) && version[0] != 0xff &&
		hexInto(p.TraceID[:], parts[1]) && hexInto(p.SpanID[:], parts[2]) && hexInto(flags[:], parts[3]) &&
		!p.TraceID.IsEmpty() && !p.SpanID.IsEmpty()
	if !ok {
		return invalid("traceparent", "%s is not allowed; give 00-<trace id>-<span id>-<flags> in hex", quote(s))
	}
	p.Sampled = flags[0]&1 != 0
	return nil
}

func hexInto(dest []byte, digits string) bool {
	if len(digits) != hex.EncodedLen(len(dest)) {
		return false
	}
	_, err := hex.Decode(dest, []byte(digits))
	return err == nil
}

func unknownField(of string, name []byte, allowed string) error {
	return &rejection{reasonUnknownField, fmt.Sprintf("%s: field %s is not known; allowed are %s", of, quote(string(name)), allowed)}
}
