// This file is what leaves apart from the records that pass: summaries, and samples of a reservoir.

package dedup

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

var inf = math.Inf(1)

// identity of a parcel: it is the same after a restart, so that a reader can drop a repeat.
type identity struct {
	key   key
	start int64
}

func (i identity) String() string {
	var b [24]byte
	binary.BigEndian.PutUint64(b[0:], i.key.hi)
	binary.BigEndian.PutUint64(b[8:], i.key.lo)
	binary.BigEndian.PutUint64(b[16:], uint64(i.start))
	return hex.EncodeToString(b[:])
}

// What a parcel carries: the summary of an entry of that kind, or a sample.
const kindSample = kindCarry + 1

// parcel waits to be delivered. The outlet owns it once its shard has closed it.
type parcel struct {
	id   identity
	kind uint8
	led  bool // the window's first has left
	rule *rule
	held *held

	recorded bool // storage has it; guarded by the shard's lock
}

func (p *parcel) bytes() int64 { return p.held.bytes() + 64 }

// record builds the log record that leaves, in a plog.Logs of its own.
func (p *parcel) record() (plog.Logs, plog.LogRecord, error) {
	one, lr, err := p.held.kept.logs()
	if err != nil {
		return one, lr, err
	}
	attrs := lr.Attributes()
	if p.kind == kindSample {
		putWeight(attrs, p.held.weight)
		return one, lr, nil
	}
	p.rule.exAttributes.removeFrom(attrs)
	if lr.Body().Type() == pcommon.ValueTypeMap {
		p.rule.exBody.removeFrom(lr.Body().Map())
	}
	attrs.RemoveIf(func(name string, v pcommon.Value) bool {
		return isMeasurement(name, v) || isControl(name)
	})
	h := p.held
	first := h.first
	if p.led {
		first = p.id.start
	}
	lr.SetTimestamp(pcommon.Timestamp(h.last))
	lr.SetObservedTimestamp(pcommon.Timestamp(first))
	attrs.PutInt(attr.LogCount, int64(math.Round(h.logCount(p.led))))
	attrs.PutStr(attr.FirstObserved, time.Unix(0, first).UTC().Format(time.RFC3339Nano))
	attrs.PutStr(attr.LastObserved, time.Unix(0, h.last).UTC().Format(time.RFC3339Nano))
	attrs.PutBool(attr.Summary, true)
	attrs.PutStr(attr.RecordID, p.id.String())
	putWeight(attrs, h.weight)
	if p.kind == kindBatch {
		attrs.PutInt(attr.BatchRecords, h.records)
	}
	for _, g := range h.aggregates {
		name := attr.MeasurementPre + g.name
		putNumber(attrs, name+sumSuffix, g.sum, g.whole)
		if !math.IsInf(g.min, 0) {
			putNumber(attrs, name+minSuffix, g.min, g.whole)
		}
		if !math.IsInf(g.max, 0) {
			putNumber(attrs, name+maxSuffix, g.max, g.whole)
		}
	}
	return one, lr, nil
}

// putWeight writes what a record stands for.
func putWeight(attrs pcommon.Map, weight float64) {
	putNumber(attrs, attr.AdjustedCount, weight, weight == math.Trunc(weight))
}

// putNumber writes an integer where n is meant as one and float64 holds it exactly.
func putNumber(attrs pcommon.Map, name string, n float64, whole bool) {
	if whole && math.Abs(n) <= 1<<53 {
		attrs.PutInt(name, int64(n))
		return
	}
	attrs.PutDouble(name, n)
}

func (p *parcel) tenant() *tenant { return p.held.kept.tenant }
