// This file takes the records that are known and suppressed out of a request, and counts them when it was accepted.

package wirededup

import (
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/foundation-agent/foundation-agent/internal/wire"
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
