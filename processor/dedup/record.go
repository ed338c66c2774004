// This file reads one record: its dedup_key, its measurements, and what control attributes say.

package dedup

import (
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// facts are what the rules need to know of a record.
type facts struct {
	explicit pcommon.Value // dedup_key
	hasKey   bool

	weight   float64
	summary  bool
	logCount float64
	firstAt  int64
	recordID string
	stripped int // control attributes that were removed

	oncePer      uint32 // ms, 0 where not asked
	batchKey     string
	batched      bool // a batch is asked for
	batchSize    uint32
	batchTimeout uint32 // ms
	asked        bool   // one of the above is there
}

// maxWeight is the greatest weight that is believed: float64 counts exactly to here.
const maxWeight = 1 << 53

// read takes a record's attributes apart in one pass. Fields of the identity are left on the digest's stack,
// measurements on the plan's.
func (p *plan) read(lr plog.LogRecord, trusted bool) (f facts) {
	f.weight = 1
	unwanted := 0 // control attributes that may not stay
	for name, v := range lr.Attributes().All() {
		switch {
		case name == attr.DedupKey:
			f.explicit, f.hasKey = v, true
		case isMeasurement(name, v):
			m := measured{name: name[len(attr.MeasurementPre):]}
			if v.Type() == pcommon.ValueTypeInt {
				m.value, m.whole = float64(v.Int()), true
			} else {
				m.value = v.Double()
			}
			p.measures = append(p.measures, m)
		case !isControl(name):
			p.digest.fields = append(p.digest.fields, field{name, v})
		case !trusted:
			unwanted++
		case !f.control(name, v):
			unwanted++
		}
	}
	if unwanted > 0 {
		f.stripped = unwanted
		lr.Attributes().RemoveIf(func(name string, v pcommon.Value) bool {
			var ignored facts
			return isControl(name) && (!trusted || !ignored.control(name, v))
		})
		// Removing moves the attributes: read again what is left.
		p.digest.fields, p.measures = p.digest.fields[:0], p.measures[:p.measuresRead]
		again := p.read(lr, trusted)
		again.stripped = f.stripped
		return again
	}
	if f.summary {
		p.readSummary(&f)
	}
	return f
}

// readSummary takes what only a summary says, which is no part of its identity.
func (p *plan) readSummary(f *facts) {
	fields := p.digest.fields[:0]
	for _, field := range p.digest.fields {
		switch field.name {
		case attr.LogCount:
			if n, ok := number(field.value); ok && n >= 0 && n <= maxWeight {
				f.logCount = n
			}
		case attr.FirstObserved:
			if t, err := time.Parse(time.RFC3339, field.value.AsString()); err == nil {
				f.firstAt = t.UnixNano()
			}
		case attr.LastObserved:
		default:
			fields = append(fields, field)
		}
	}
	p.digest.fields = fields
	f.logCount = max(f.logCount, f.weight)
}

// control reads a control attribute. It reports whether the value makes sense.
func (f *facts) control(name string, v pcommon.Value) bool {
	n, isNumber := number(v)
	switch name {
	case attr.AdjustedCount:
		if !isNumber || !(n > 0 && n <= maxWeight) {
			return false
		}
		f.weight = n
	case attr.Summary:
		if v.Type() != pcommon.ValueTypeBool {
			return false
		}
		f.summary = v.Bool()
	case attr.RecordID:
		f.recordID = v.AsString()
	case attr.OncePer:
		ms, ok := milliseconds(v)
		f.oncePer, f.asked = ms, true
		return ok
	case attr.BatchKey:
		f.batchKey, f.batched, f.asked = v.AsString(), true, true
	case attr.BatchSize:
		f.batched, f.asked = true, true
		if !isNumber || n < 1 {
			return false
		}
		f.batchSize = uint32(min(n, math.MaxUint32))
	case attr.BatchTimeout:
		ms, ok := milliseconds(v)
		f.batched, f.asked = true, true
		f.batchTimeout = ms
		return ok
	}
	return true
}

// milliseconds reads a duration of at least one; longer than any window is as long as the longest.
func milliseconds(v pcommon.Value) (uint32, bool) {
	d, err := time.ParseDuration(v.AsString())
	if err != nil || d < minWindow {
		return 0, false
	}
	return uint32(min(d, maxWindow) / time.Millisecond), true
}

func number(v pcommon.Value) (float64, bool) {
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return float64(v.Int()), true
	case pcommon.ValueTypeDouble:
		return v.Double(), true
	}
	return 0, false
}

// isMeasurement reports whether the attribute is a number that summaries aggregate.
func isMeasurement(name string, v pcommon.Value) bool {
	if !strings.HasPrefix(name, attr.MeasurementPre) {
		return false
	}
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return true
	case pcommon.ValueTypeDouble:
		return !math.IsNaN(v.Double()) && !math.IsInf(v.Double(), 0)
	}
	return false
}

// isControl reports whether only this agent and its configured peers may set the attribute. The process within
// the agent and the mark of old code are the sender's own to say; the mark of a violation helps nobody who sets it.
func isControl(name string) bool {
	if strings.HasPrefix(name, attr.ControlPrefix) {
		return name != attr.Process && name != attr.Legacy && name != attr.Violation
	}
	return name == attr.AdjustedCount
}

// isAsked reports whether the attribute is something that a caller asks of a rule.
func isAsked(name string) bool {
	switch name {
	case attr.OncePer, attr.BatchKey, attr.BatchSize, attr.BatchTimeout:
		return true
	}
	return false
}
