package foundation

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata"
)

// Bounds of one call's object, so that few bytes never become much memory or a deep recursion.
const (
	maxDepth  = 32   // of values within values
	maxValues = 4096 // in all
	maxText   = 256  // bytes of a name or an id
)

// objectReader reads one JSON object (RFC 8259, strictly: no name twice, valid UTF-8) field by field,
// without copying it. Its errors are *rejection. It is reused and not for concurrent use.
type objectReader struct {
	dec    jsontext.Decoder
	buf    bytes.Buffer
	values int // read so far
	names  names
}

// read calls field for each field of the object in data, which is all there may be.
func (o *objectReader) read(data []byte, field func(name []byte) error) error {
	o.buf = *bytes.NewBuffer(data)
	o.dec.Reset(&o.buf)
	o.values = 0
	if kind := o.dec.PeekKind(); kind != '{' && kind != 0 {
		return &rejection{reasonInvalidJSON, fmt.Sprintf("found %s where a JSON object was expected", kindName(kind))}
	}
	if err := o.fields("", field); err != nil {
		return syntax(err)
	}
	if _, err := o.dec.ReadToken(); err == nil {
		return &rejection{reasonInvalidJSON, "there is more after the object; send many as application/x-ndjson, one a line"}
	} else if !errors.Is(err, io.EOF) {
		return syntax(err)
	}
	return nil
}

// syntax makes a rejection of an error of the JSON decoder.
func syntax(err error) error {
	var rejected *rejection
	if errors.As(err, &rejected) {
		return err
	}
	if errors.Is(err, io.EOF) {
		return &rejection{reasonInvalidJSON, "empty where a JSON object was expected"}
	}
	return &rejection{reasonInvalidJSON, strings.TrimPrefix(err.Error(), "jsontext: ")}
}

// fields calls field for each field of the object that comes next, the value of what. field must read the
// value; name is valid until then. A null is an object without fields.
func (o *objectReader) fields(what string, field func(name []byte) error) error {
	token, err := o.dec.ReadToken()
	if err != nil {
		return err
	}
	switch token.Kind() {
	case 'n':
		return nil
	case '{':
	default:
		return invalid(what, "%s is not allowed; give an object", kindName(token.Kind()))
	}
	for o.dec.PeekKind() != '}' {
		raw, err := o.dec.ReadValue()
		if err != nil {
			return err
		}
		name, err := unquote(raw)
		if err != nil {
			return err
		}
		if err := field(name); err != nil {
			return err
		}
	}
	_, err = o.dec.ReadToken()
	return err
}

// unquote is the text of a JSON string that the decoder has checked. It aliases raw where it can.
func unquote(raw []byte) ([]byte, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	return jsontext.AppendUnquote(nil, raw)
}

// text reads a string; a null is empty.
func (o *objectReader) text(name string) (string, error) {
	b, err := o.textBytes(name)
	return string(b), err
}

// textBytes reads a string, valid until the next read; a null is empty.
func (o *objectReader) textBytes(name string) ([]byte, error) {
	raw, err := o.dec.ReadValue()
	switch {
	case err != nil:
		return nil, err
	case raw.Kind() == 'n':
		return nil, nil
	case raw.Kind() != '"':
		return nil, invalid(name, "%s is not allowed; give a string", kindName(raw.Kind()))
	}
	return unquote(raw)
}

// identifier reads a short string without control characters; a null is empty.
func (o *objectReader) identifier(name string) (string, error) {
	b, err := o.textBytes(name)
	if err != nil {
		return "", err
	}
	s := o.names.intern(b)
	return s, checkIdentifier(name, s)
}

func checkIdentifier(name, s string) error {
	if len(s) > maxText {
		return invalid(name, "%d bytes are too many; at most %d are allowed", len(s), maxText)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		return invalid(name, "%s has a control character; leave it out", quote(s))
	}
	return nil
}

// value reads any JSON value into dest. Integers that int64 holds stay integers; larger ones become a
// string of their digits, so that none is rounded.
func (o *objectReader) value(dest pcommon.Value, depth int) error {
	if o.values++; o.values > maxValues {
		return &rejection{reasonInvalidField, fmt.Sprintf("more than %d values in one object; send less at a time", maxValues)}
	}
	if depth > maxDepth {
		return &rejection{reasonInvalidField, fmt.Sprintf("values are nested deeper than %d; flatten them", maxDepth)}
	}
	switch o.dec.PeekKind() {
	case '{':
		var m xpdata.MapBuilder
		if err := o.attributes(&m, depth); err != nil {
			return err
		}
		m.UnsafeIntoMap(dest.SetEmptyMap()) // the decoder allows no name twice
		return nil
	case '[':
		return o.list(dest.SetEmptySlice(), depth)
	case '0':
		raw, err := o.dec.ReadValue()
		if err != nil {
			return err
		}
		return number(dest, raw)
	}
	token, err := o.dec.ReadToken()
	if err != nil {
		return err
	}
	switch token.Kind() {
	case '"':
		dest.SetStr(token.String())
	case 't', 'f':
		dest.SetBool(token.Bool())
	}
	return nil // a null stays the empty value
}

// attributes reads an object's fields into m.
func (o *objectReader) attributes(m *xpdata.MapBuilder, depth int) error {
	return o.fields("", func(name []byte) error {
		return o.value(m.AppendEmpty(o.names.intern(name)), depth+1)
	})
}

func (o *objectReader) list(dest pcommon.Slice, depth int) error {
	if _, err := o.dec.ReadToken(); err != nil {
		return err
	}
	for o.dec.PeekKind() != ']' {
		if err := o.value(dest.AppendEmpty(), depth+1); err != nil {
			return err
		}
	}
	_, err := o.dec.ReadToken()
	return err
}

// number sets dest to a JSON number.
func number(dest pcommon.Value, raw []byte) error {
	if isInteger(raw) {
		if i, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			dest.SetInt(i)
		} else {
			dest.SetStr(string(raw))
		}
		return nil
	}
	f, err := finite(raw)
	if err != nil {
		return err
	}
	dest.SetDouble(f)
	return nil
}

func isInteger(raw []byte) bool { return !bytes.ContainsAny(raw, ".eE") }

// finite is a JSON number as a double. One that would be infinite is refused.
func finite(raw []byte) (float64, error) {
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, &rejection{reasonInvalidField, fmt.Sprintf("number %s is out of the range of a double", quote(string(raw)))}
	}
	return f, nil
}

// invalid is the rejection of a field's value.
func invalid(name, format string, args ...any) error {
	return &rejection{reasonInvalidField, name + ": " + fmt.Sprintf(format, args...)}
}

// kindName is what people call a kind of JSON value.
func kindName(kind jsontext.Kind) string {
	switch kind {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "no JSON value"
}
