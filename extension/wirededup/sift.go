// This file looks through the bytes of a request and takes out the records that are known and suppressed. The format
// is that of ExportLogsServiceRequest in opentelemetry-proto 1.x.

package wirededup

import (
	"sync"

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

// tally is what sifting one request gave. It is reused, with its buffers.
type tally struct {
	counted []counted
	renew   []*known // that have come and were not suppressed: the rest of the request may change that
	cuts    []cut

	around  [2][]byte // the ResourceLogs and the ScopeLogs that a record is in, less what repeats in them
	scratch []byte    // what is hashed
	out     [3][]byte // what is left: of the request, a ResourceLogs, a ScopeLogs
}

// counted is how often a known record was taken out.
type counted struct {
	known *known
	n     int
}

// cut is a record, with its tag, by its place in the request.
type cut struct{ from, to int }

var tallies = sync.Pool{New: func() any { return &tally{} }}

func (t *tally) release() {
	if t == nil {
		return
	}
	clear(t.counted)
	clear(t.renew)
	t.counted, t.renew, t.cuts = t.counted[:0], t.renew[:0], t.cuts[:0]
	tallies.Put(t)
}

func (t *tally) take(k *known) {
	if n := len(t.counted); n > 0 && t.counted[n-1].known == k {
		t.counted[n-1].n++
		return
	}
	t.counted = append(t.counted, counted{k, 1})
}

// maxLearned bounds what one request may teach.
const maxLearned = 64

// sift returns what is left of a request, and its tally, nil where there is nothing to do once the rest is accepted.
// What is left is valid until the tally is released. A request that it does not understand passes whole: the
// decoder has the better error.
func (s *sieve) sift(request []byte, table wire.Table) ([]byte, *tally) {
	s.requests.Add(1)
	t := tallies.Get().(*tally)
	w := walk{memory: s.memory, tally: t, table: table, errors: s.errors, now: int64(s.now())}
	if !w.messages(request, 0, 0) || len(t.counted) == 0 && len(t.renew) == 0 {
		t.release()
		return request, nil
	}
	s.idle.Store(0)
	if len(t.cuts) == 0 {
		return request, t
	}
	cuts := t.cuts
	return t.rest(request, 0, 0, &cuts), t
}

// commit counts what was taken out of a request of which the rest was accepted.
func (s *sieve) commit(t *tally) {
	total := 0
	for _, c := range t.counted {
		c.known.event.Count(c.n)
		total += c.n
	}
	s.records.Add(int64(total))
	now := s.now()
	for _, k := range t.renew {
		k.refresh(now)
	}
}

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

// repeated is the field of the messages that repeats, on each level.
var repeated = [3]protowire.Number{fieldResourceLogs, fieldScopeLogs, fieldRecord}

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
	scratch := w.tally.scratch[:0]
	if level > 1 {
		scratch = w.around.appendTo(scratch)
	}
	w.tally.scratch = append(scratch, around...)
	w.around = w.memory.sum(w.tally.scratch)
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

// rest is a message of a level without the records that are cut. cuts are those that are left.
func (t *tally) rest(b []byte, level, at int, cuts *[]cut) []byte {
	out := t.out[level][:0]
	copied := 0
	for pos := 0; pos < len(b) && len(*cuts) > 0 && (*cuts)[0].from < at+len(b); {
		if next := (*cuts)[0]; level == 2 {
			out = append(out, b[copied:next.from-at]...)
			copied = next.to - at
			pos, *cuts = copied, (*cuts)[1:]
			continue
		}
		num, typ, n := protowire.ConsumeTag(b[pos:])
		size := protowire.ConsumeFieldValue(num, typ, b[pos+n:])
		end := pos + n + size
		if num == repeated[level] && (*cuts)[0].from < at+end {
			value, _ := protowire.ConsumeBytes(b[pos+n:])
			inner := t.rest(value, level+1, at+end-len(value), cuts)
			out = append(out, b[copied:pos+n]...)
			out = protowire.AppendBytes(out, inner)
			copied = end
		}
		pos = end
	}
	out = append(out, b[copied:]...)
	t.out[level] = out
	return out
}
