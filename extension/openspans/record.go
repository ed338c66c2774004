// This file is the stored form of the table: one byte for the kind of a record, then protobuf fields by the
// numbers below. Fields that are unknown are skipped, so a field can be added without a new format.

package openspans

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// storedFormat is the version of the records.
const storedFormat = 1

// Kinds of record.
const (
	recordShape     = 's' // precedes the entries that have it
	recordEntry     = 'e'
	recordTombstone = 't' // the span has ended and left
	recordForgotten = 'x' // the span is in the table no longer, and not remembered
	recordProcess   = 'p' // contexts and adopted parent
	recordDown      = 'd' // a death whose obituary is out
)

// Fields of an entry, and those of them that tombstones have too.
const (
	fTrace = iota + 1
	fSpan
	fParent
	fSeq
	fState
	fReason
	fFlags
	fStart
	fEnd
	fDuration // plus one
	fOpened
	fClosed
	fHeartbeat
	fAgent
	fProcess
	fBase
	fMore
	fShape
	fMerged
)

// Bits of fFlags.
const (
	flagHasEnd = 1 << iota
	flagManaged
	flagStacked
	flagLoose
	flagOwnContext
	flagWhole
)

// Fields of the other kinds.
const (
	fShapeID  = 1
	fShapeKey = 2

	fFrame      = 3 // of a process, which has fAgent and fProcess
	fAdopted    = 4
	fFrameDead  = 3 // of a frame or an adopted parent, which have fTrace and fSpan
	fFrameValue = 4
	fSampled    = 5
	fTraceState = 6

	fDownAgent    = 1
	fDownInstance = 2
	fDownAt       = 3
)

var errRecord = errors.New("broken record")

// appendEntry appends the record of an entry whose shape has been written under shapeID.
func appendEntry(b []byte, e *entry, shapeID uint64) []byte {
	b = appendKey(append(b, recordEntry), e.key)
	b = appendBytes(b, fParent, e.parent[:])
	b = appendUint(b, fSeq, e.seq)
	b = appendUint(b, fState, uint64(e.state))
	b = appendUint(b, fReason, uint64(e.reason))
	b = appendUint(b, fFlags, e.flags())
	b = appendUint(b, fStart, uint64(e.start))
	b = appendUint(b, fEnd, uint64(e.end))
	b = appendUint(b, fDuration, uint64(e.duration+1))
	b = appendUint(b, fOpened, uint64(e.opened))
	b = appendUint(b, fClosed, uint64(e.closed))
	b = appendUint(b, fHeartbeat, uint64(e.heartbeat))
	b = appendBytes(b, fAgent, e.owner().id)
	b = appendBytes(b, fProcess, e.process.name)
	b = appendBytes(b, fBase, e.base.pack())
	b = appendBytes(b, fMore, e.more.pack())
	b = appendUint(b, fShape, shapeID)
	if e.context != nil && e.context.merged != nil {
		b = appendBytes(b, fMerged, encodeValues(*e.context.merged))
	}
	return b
}

func (e *entry) flags() (f uint64) {
	for _, bit := range []struct {
		set  bool
		flag uint64
	}{
		{e.hasEnd, flagHasEnd}, {e.managed, flagManaged}, {e.among != nil && e.among == &e.process.stack, flagStacked},
		{e.among != nil && e.among == &e.process.loose, flagLoose},
		{e.ownContext, flagOwnContext}, {e.whole, flagWhole},
	} {
		if bit.set {
			f |= bit.flag
		}
	}
	return f
}

// storedEntry is an entry as it is read, with what it names instead of points to.
type storedEntry struct {
	entry
	agent, process string
	shapeID        uint64
	stacked, loose bool
}

func readEntry(b []byte) (*storedEntry, error) {
	s := &storedEntry{entry: entry{duration: -1, stored: true}}
	err := eachField(b, func(num protowire.Number, n uint64, v []byte) error {
		switch num {
		case fTrace:
			copy(s.trace[:], v)
		case fSpan:
			copy(s.span[:], v)
		case fParent:
			copy(s.parent[:], v)
		case fSeq:
			s.seq = n
		case fState:
			s.state = state(n)
		case fReason:
			s.reason = reason(n)
		case fFlags:
			s.hasEnd, s.managed, s.whole = n&flagHasEnd != 0, n&flagManaged != 0, n&flagWhole != 0
			s.stacked, s.loose, s.ownContext = n&flagStacked != 0, n&flagLoose != 0, n&flagOwnContext != 0
		case fStart:
			s.start = int64(n)
		case fEnd:
			s.end = int64(n)
		case fDuration:
			s.duration = int64(n) - 1
		case fOpened:
			s.opened = int64(n)
		case fClosed:
			s.closed = int64(n)
		case fHeartbeat:
			s.heartbeat = time.Duration(n)
		case fAgent:
			s.agent = string(v)
		case fProcess:
			s.process = string(v)
		case fBase:
			s.base.packed, s.baseSize = slices.Clone(v), int32(len(v))
		case fMore:
			s.more.packed, s.moreSize = slices.Clone(v), int32(len(v))
		case fShape:
			s.shapeID = n
		case fMerged:
			return s.readMerged(v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if s.state >= gone || s.reason >= reasonCount || s.key == (key{}) {
		return nil, fmt.Errorf("%w: entry", errRecord)
	}
	return s, nil
}

func (s *storedEntry) readMerged(v []byte) error {
	values, err := decodeValues(v)
	if err != nil {
		return err
	}
	s.context = &spanContext{merged: &values, bytes: sizeOf(values)}
	return nil
}

// appendTombstone appends the record of a span that has ended and left.
func appendTombstone(b []byte, t tombstone) []byte {
	b = appendKey(append(b, recordTombstone), t.key)
	b = appendBytes(b, fAgent, t.agent)
	b = appendUint(b, fClosed, uint64(t.ended))
	if t.forced {
		b = appendUint(b, fReason, 1)
	}
	return b
}

func readTombstone(b []byte) (t tombstone, err error) {
	err = eachField(b, func(num protowire.Number, n uint64, v []byte) error {
		switch num {
		case fTrace:
			copy(t.trace[:], v)
		case fSpan:
			copy(t.span[:], v)
		case fAgent:
			t.agent = string(v)
		case fClosed:
			t.ended = int64(n)
		case fReason:
			t.forced = n != 0
		}
		return nil
	})
	return t, err
}

func appendDown(b []byte, d downKey) []byte {
	b = appendBytes(append(b, recordDown), fDownAgent, d.agent)
	b = appendBytes(b, fDownInstance, d.instance)
	return appendUint(b, fDownAt, uint64(d.at))
}

func readDown(b []byte) (d downKey, err error) {
	err = eachField(b, func(num protowire.Number, n uint64, v []byte) error {
		switch num {
		case fDownAgent:
			d.agent = string(v)
		case fDownInstance:
			d.instance = string(v)
		case fDownAt:
			d.at = int64(n)
		}
		return nil
	})
	return d, err
}

func appendShape(b []byte, id uint64, sh *shape) []byte {
	b = appendUint(append(b, recordShape), fShapeID, id)
	return appendBytes(b, fShapeKey, sh.key)
}

func readShape(b []byte) (id uint64, k shapeKey, err error) {
	err = eachField(b, func(num protowire.Number, n uint64, v []byte) (err error) {
		switch num {
		case fShapeID:
			id = n
		case fShapeKey:
			k = shapeKey(v)
			_, err = k.decode()
			return err
		}
		return nil
	})
	return id, k, err
}

func appendForgotten(b []byte, k key) []byte { return appendKey(append(b, recordForgotten), k) }

// readKey reads the key of a record that has no more.
func readKey(b []byte) (key, error) {
	t, err := readTombstone(b)
	return t.key, err
}
