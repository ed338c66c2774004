// This file goes through the bytes of a request and decides on each record. The format is that of
// ExportLogsServiceRequest in opentelemetry-proto 1.x.

package wirededup

import (
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/foundation-agent/foundation-agent/internal/wire"
)

// Fields of the messages, by their numbers.
const (
	fieldResourceLogs = 1 // of the request
	fieldScopeLogs    = 2 // of ResourceLogs; 1 is the resource, 3 its schema URL
	fieldRecord       = 2 // of ScopeLogs; 1 is the scope, 3 its schema URL
	fieldTime         = 1 // of LogRecord
	fieldSeverity     = 2
	fieldTraceID      = 9
	fieldSpanID       = 10
	fieldObservedTime = 11
)

// repeated is the field of the messages that repeats, on each level.
var repeated = [3]protowire.Number{fieldResourceLogs, fieldScopeLogs, fieldRecord}

// maxLearned bounds what one request may teach.
const maxLearned = 64

// walk goes through one request.
type walk struct {
	memory  *memory
	tally   *tally
	table   wire.Table
	errors  bool
	now     int64
	learned int
	around  fingerprint // of tally.around
}

// messages goes through a message of a level: the request, a ResourceLogs, a ScopeLogs. at is its place in the
// request. It reports whether the message is as it should be.
func (w *walk) messages(b []byte, level, at int) bool {
	if level > 0 && !w.surround(b, level) {
		return false
	}
	for pos := 0; pos < len(b); {
		num, typ, n := protowire.ConsumeTag(b[pos:])
		if n < 0 {
			return false
		}
		if num != repeated[level] || typ != protowire.BytesType {
			size := protowire.ConsumeFieldValue(num, typ, b[pos+n:])
			if size < 0 {
				return false
			}
			pos += n + size
			continue
		}
		value, size := protowire.ConsumeBytes(b[pos+n:])
		if size < 0 {
			return false
		}
		end := pos + n + size
		switch {
		case level < 2:
			if !w.messages(value, level+1, at+end-len(value)) {
				return false
			}
		case !w.record(value, cut{at + pos, at + end}):
			return false
		}
		pos = end
	}
	return true
}

// surround keeps what records have around them: the fields of a ResourceLogs or a ScopeLogs less those that repeat.
func (w *walk) surround(b []byte, level int) bool {
	around := w.tally.around[level-1][:0]
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			return false
		}
		if num != repeated[level] {
			around = append(around, b[:n+size]...)
		}
		b = b[n+size:]
	}
	w.tally.around[level-1] = around
	t := w.tally
	t.scratch = t.scratch[:0]
	if level > 1 {
		t.scratch = w.around.appendTo(t.scratch)
	}
	t.scratch = append(t.scratch, around...)
	w.around = w.memory.sum(t.scratch)
	return true
}

// record decides on one record. It reports whether the record is as it should be.
func (w *walk) record(b []byte, at cut) bool {
	print, plain, ok := w.fingerprint(b)
	if !ok || !plain {
		return ok
	}
	t := w.tally
	k := w.memory.find(print)
	switch {
	case k != nil && w.now < k.until.Load():
		t.take(k)
		t.cuts = append(t.cuts, at)
	case k != nil:
		if k.event != nil && (len(t.renew) == 0 || t.renew[len(t.renew)-1] != k) {
			t.renew = append(t.renew, k)
		}
	case w.memory.again(print) && w.learned < maxLearned:
		w.learned++
		w.learn(print, b)
	}
	return true
}

// fingerprint of a record in its surroundings, less its times. Plain are the records that may be taken out: without
// a trace, for what is around the others, and with it what they gain on their way to the table, is not in the
// request; and no errors unless these are wanted.
func (w *walk) fingerprint(b []byte) (print fingerprint, plain, ok bool) {
	scratch := w.around.appendTo(w.tally.scratch[:0])
	from, plain := 0, true
	for pos := 0; pos < len(b); {
		num, typ, n := protowire.ConsumeTag(b[pos:])
		if n < 0 {
			return print, false, false
		}
		size := protowire.ConsumeFieldValue(num, typ, b[pos+n:])
		if size < 0 {
			return print, false, false
		}
		switch num {
		case fieldTime, fieldObservedTime:
			scratch = append(scratch, b[from:pos]...)
			from = pos + n + size
		case fieldSeverity:
			severity, _ := protowire.ConsumeVarint(b[pos+n:])
			plain = plain && (w.errors || severity < uint64(plog.SeverityNumberError))
		case fieldTraceID, fieldSpanID:
			plain = plain && size == 1 // an empty one
		}
		pos += n + size
	}
	scratch = append(scratch, b[from:]...)
	w.tally.scratch = scratch
	return w.memory.sum(scratch), plain, true
}

// learn asks the table what event a record is.
func (w *walk) learn(print fingerprint, record []byte) {
	around := &w.tally.around
	scope := appendMessage(around[1][:len(around[1]):len(around[1])], fieldRecord, record)
	resource := appendMessage(around[0][:len(around[0]):len(around[0])], fieldScopeLogs, scope)
	one, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(appendMessage(nil, fieldResourceLogs, resource))
	if err != nil {
		return // the decoder will say so
	}
	k := &known{print: print, event: w.table.Learn(one)}
	w.memory.learn(k)
	if k.event != nil {
		w.tally.renew = append(w.tally.renew, k)
	}
}

func appendMessage(b []byte, num protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), message)
}
