package foundation

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// eventDecoder makes a log record of an event's JSON. It is reused and not for concurrent use.
type eventDecoder struct {
	objectReader

	// What the last decode found. The record is the caller's to move away (moveTo).
	record   plog.LogRecord
	agentID  string
	stripped int // control attributes that were left out

	attributes xpdata.MapBuilder
	dedupKey   string
	key        []byte // scratch for a name or key in the making
	used       bool   // record is not as new
}

func newEventDecoder() *eventDecoder { return &eventDecoder{record: plog.NewLogRecord()} }

// decode reads one event. received is when it came: its time where it gives none.
func (d *eventDecoder) decode(data []byte, received time.Time) error {
	if d.used {
		d.record = plog.NewLogRecord()
	}
	d.used = true
	d.attributes = xpdata.MapBuilder{}
	d.attributes.EnsureCapacity(8)
	d.agentID, d.dedupKey, d.stripped = "", "", 0
	at := pcommon.NewTimestampFromTime(received)
	d.record.SetTimestamp(at)
	d.record.SetObservedTimestamp(at)
	if err := d.read(data, func(name []byte) error { return d.field(name, received) }); err != nil {
		return err
	}
	if d.record.EventName() == "" {
		return invalid("name", "absent; every event has one")
	}
	d.attributes.UnsafeIntoMap(d.record.Attributes())
	if d.dedupKey != "" {
		d.record.Attributes().PutStr(attr.DedupKey, d.dedupKey) // over one in the metadata
	}
	return nil
}

// moveTo moves the record away.
func (d *eventDecoder) moveTo(dest plog.LogRecord) {
	d.record.MoveTo(dest)
	d.used = false
}

// field reads one field of the event.
func (d *eventDecoder) field(name []byte, received time.Time) (err error) {
	switch string(name) {
	case "call":
		var call string
		if call, err = d.text("call"); err == nil && call != eventCall && call != "" {
			err = &rejection{reasonUnknownCall, fmt.Sprintf("call: %s is no event", quote(call))}
		}
		return err
	case "name":
		return d.name()
	case "measurements":
		return d.measurements()
	case "metadata":
		return d.metadata()
	case "timestamp":
		at := d.record.Timestamp()
		err = d.time("timestamp", received, &at)
		d.record.SetTimestamp(at)
		return err
	case "severity":
		return d.severity()
	case "body":
		return d.value(d.record.Body(), 0)
	case "agent_id":
		d.agentID, err = d.identifier("agent_id")
		return err
	case "process":
		return d.textAttribute("process", attr.Process)
	case "dedup_key":
		d.dedupKey, err = d.text("dedup_key")
		return err
	case "once_per":
		return d.durationAttribute("once_per", attr.OncePer)
	case "batch":
		return d.batch()
	case "trace_id":
		var id pcommon.TraceID
		err = d.hexID("trace_id", id[:])
		d.record.SetTraceID(id)
		return err
	case "span_id":
		var id pcommon.SpanID
		err = d.hexID("span_id", id[:])
		d.record.SetSpanID(id)
		return err
	}
	return &rejection{reasonUnknownField, fmt.Sprintf("field %s is not known; allowed are name, measurements, metadata, timestamp, severity, body, agent_id, process, trace_id, span_id, dedup_key, once_per, batch and call; what else an event has to say goes into metadata", quote(string(name)))}
}

// name reads "a.b" or ["a","b"].
func (d *eventDecoder) name() error {
	d.key = d.key[:0]
	if d.dec.PeekKind() != '[' {
		text, err := d.textBytes("name")
		if err != nil {
			return err
		}
		return d.setName(append(d.key, text...))
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return err
	}
	for d.dec.PeekKind() != ']' {
		part, err := d.textBytes("name")
		if err != nil {
			return err
		}
		if len(d.key) > 0 || len(part) == 0 {
			d.key = append(d.key, '.')
		}
		d.key = append(d.key, part...)
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return err
	}
	return d.setName(d.key)
}

func (d *eventDecoder) setName(b []byte) error {
	name := d.names.intern(b)
	if name == "" || name[0] == '.' || name[len(name)-1] == '.' || strings.Contains(name, "..") {
		return invalid("name", "%s has an empty part; give \"test.event\" or [\"test\",\"event\"]", quote(name))
	}
	d.record.SetEventName(name)
	return checkIdentifier("name", name)
}

func (d *eventDecoder) measurements() error {
	return d.fields("measurements", func(name []byte) error {
		if len(name) == 0 {
			return invalid("measurements", "a name is empty")
		}
		d.key = append(append(d.key[:0], attr.MeasurementPre...), name...)
		key := d.names.intern(d.key)
		if kind := d.dec.PeekKind(); kind != '0' {
			return invalid("measurements", "%s is %s; give a number (not NaN or infinite)", quote(key[len(attr.MeasurementPre):]), kindName(kind))
		}
		raw, err := d.dec.ReadValue()
		if err != nil {
			return err
		}
		dest := d.attributes.AppendEmpty(key)
		if isInteger(raw) {
			if i, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
				dest.SetInt(i)
				return nil
			}
		}
		f, err := finite(raw)
		dest.SetDouble(f)
		return err
	})
}

func (d *eventDecoder) metadata() error {
	return d.fields("metadata", func(name []byte) error {
		key := d.names.intern(name)
		switch {
		case key == "":
			return invalid("metadata", "a key is empty")
		case isControl(key):
			d.stripped++
			return d.dec.SkipValue()
		case strings.HasPrefix(key, attr.MeasurementPre):
			return invalid("metadata", "%s is a measurement's name; give it under measurements", quote(key))
		}
		return d.value(d.attributes.AppendEmpty(key), 1)
	})
}

// isControl says whether only this agent and its peers may set the attribute. attr.Legacy is what the
// users' old code path marks its own records with.
func isControl(key string) bool {
	return key == attr.AdjustedCount || strings.HasPrefix(key, attr.ControlPrefix) && key != attr.Legacy
}

func (d *eventDecoder) textAttribute(name, key string) error {
	s, err := d.identifier(name)
	if err == nil && s != "" {
		d.attributes.AppendEmpty(key).SetStr(s)
	}
	return err
}

func (d *eventDecoder) durationAttribute(name, key string) error {
	s, err := d.text(name)
	if err != nil || s == "" {
		return err
	}
	if every, err := time.ParseDuration(s); err != nil || every <= 0 {
		return invalid(name, "%s is not allowed; give a duration above 0 as \"10s\" or \"1m30s\"", quote(s))
	}
	d.attributes.AppendEmpty(key).SetStr(s)
	return nil
}

func (d *eventDecoder) batch() error {
	keyed, closes := false, false
	err := d.fields("batch", func(name []byte) error {
		switch string(name) {
		case "key":
			s, err := d.text("batch.key")
			if err == nil && s != "" {
				keyed = true
				d.attributes.AppendEmpty(attr.BatchKey).SetStr(s)
			}
			return err
		case "size":
			raw, err := d.dec.ReadValue()
			if err != nil {
				return err
			}
			size, err := strconv.ParseInt(string(raw), 10, 64)
			if err != nil || size < 1 {
				return invalid("batch.size", "%s is not allowed; give a whole number above 0", quote(string(raw)))
			}
			closes = true
			d.attributes.AppendEmpty(attr.BatchSize).SetInt(size)
			return nil
		case "timeout":
			closes = closes || d.dec.PeekKind() != 'n'
			return d.durationAttribute("batch.timeout", attr.BatchTimeout)
		}
		return &rejection{reasonUnknownField, fmt.Sprintf("batch: field %s is not known; allowed are key, size and timeout", quote(string(name)))}
	})
	if err == nil && keyed != closes {
		err = invalid("batch", "give a key, and a size or a timeout or both")
	}
	return err
}

func (o *objectReader) hexID(name string, id []byte) error {
	digits, err := o.textBytes(name)
	if err != nil || len(digits) == 0 {
		return err
	}
	if len(digits) == hex.EncodedLen(len(id)) {
		_, err = hex.Decode(id, digits)
	}
	if err != nil || len(digits) != hex.EncodedLen(len(id)) {
		return invalid(name, "%s is not allowed; give %d hex digits", quote(string(digits)), hex.EncodedLen(len(id)))
	}
	return nil
}
