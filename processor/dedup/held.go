// This file is what an entry holds from its first duplicate on: the record for the summary, and what is counted.

package dedup

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
)

// kept is a record that stands for others, as protobuf bytes of a plog.Logs with that one record. It never changes.
type kept struct {
	bytes  []byte
	origin key // of its tenant, resource and scope: records of one origin leave together
	tenant *tenant
}

// keep copies a record.
func keep(rl plog.ResourceLogs, sl plog.ScopeLogs, lr plog.LogRecord, origin key, t *tenant) *kept {
	one := plog.NewLogs()
	toRL := one.ResourceLogs().AppendEmpty()
	rl.Resource().CopyTo(toRL.Resource())
	toRL.SetSchemaUrl(rl.SchemaUrl())
	toSL := toRL.ScopeLogs().AppendEmpty()
	sl.Scope().CopyTo(toSL.Scope())
	toSL.SetSchemaUrl(sl.SchemaUrl())
	lr.CopyTo(toSL.LogRecords().AppendEmpty())
	return keepOnly(one, origin, t)
}

func keepOnly(one plog.Logs, origin key, t *tenant) *kept {
	bytes, err := (&plog.ProtoMarshaler{}).MarshalLogs(one)
	if err != nil { // pdata's marshaler has no error to give
		bytes = nil
	}
	return &kept{bytes: bytes, origin: origin, tenant: t}
}

// logs returns the record again, and the plog.Logs that it is in.
func (k *kept) logs() (plog.Logs, plog.LogRecord, error) {
	one, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(k.bytes)
	if err != nil {
		return one, plog.LogRecord{}, err
	}
	return one, one.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0), nil
}

// lanes are the other entries that a record of a rule may go to.
type lanes struct {
	carry key // of the rule, event name and resource

	batch        key // zero where there is none to join
	batchSize    uint32
	batchTimeout uint32 // ms
}

// measured is one measurement of one record.
type measured struct {
	name  string // without the prefix
	value float64
	whole bool // an integer
}

// aggregate of one measurement.
type aggregate struct {
	name          string
	sum, min, max float64
	whole         bool // all were integers
}

// held is what an entry has counted in its present window and not given out yet.
type held struct {
	kept    *kept
	stale   bool   // kept is of an earlier window
	written *kept  // the one that storage has
	keeper  uint32 // the plan that brings a record to keep

	weight  float64 // of the events that have not left
	records int64   // how many were added

	// log_count. A summary of another tier counts its first, which came here as a record of its own:
	// apart is how many of those there may be among the plain ones.
	plain, summed, apart float64
	leader               float64 // weight of the window's first, where it is not 1

	first, last int64 // unix ns, when the first and last of them were observed
	aggregates  []aggregate
	lanes       lanes
}

// logCount is how many events the window had, counting its first.
func (h *held) logCount(led bool) float64 {
	plain := h.plain
	if led {
		plain += h.leaderWeight()
	}
	return plain + h.summed - min(plain, h.apart)
}

func (h *held) leaderWeight() float64 {
	if h.leader != 0 {
		return h.leader
	}
	return 1
}

// bytes that it takes (estimate).
func (h *held) bytes() int64 {
	n := int64(heldBytes + len(h.aggregates)*aggregateBytes)
	if h.kept != nil {
		n += h.kept.size()
	}
	return n
}

func (k *kept) size() int64 { return int64(len(k.bytes)) + keptBytes }

const (
	heldBytes      = 240
	keptBytes      = 64
	aggregateBytes = 56
)

// addition is one record, records that are alike, or one parcel, as it is added to what an entry holds.
type addition struct {
	slot      uint32 // where its entry was when it was planned, 0 where not known
	records   int64  // that are alike; the weight is of all of them
	weight    float64
	logCount  float64 // of a summary, 0 of others
	summary   bool
	at        int64 // observed
	firstAt   int64 // of a summary
	measures  []measured
	aggregate []aggregate // in place of measures
	kept      *kept
	lanes     *lanes
}

func (h *held) add(a *addition) {
	if a.kept != nil && (h.kept == nil || h.stale) {
		h.kept, h.stale = a.kept, false
	}
	if h.records == 0 {
		h.first, h.lanes = a.at, *a.lanes
		if a.firstAt != 0 {
			h.first = a.firstAt
		}
	}
	h.records += a.records
	h.last = max(h.last, a.at)
	h.weight += a.weight
	if a.summary {
		h.summed += a.logCount
		h.apart += max(0, a.logCount-a.weight)
	} else {
		h.plain += a.weight
	}
	for _, m := range a.measures {
		name, sum, low, high := m.name, m.value, m.value, m.value
		if a.summary {
			name, sum, low, high = partOf(m)
		}
		h.measure(aggregate{name, sum * float64(a.records), low, high, m.whole})
	}
	for _, g := range a.aggregate {
		h.measure(g)
	}
}

// Suffixes of the measurements of a summary.
const (
	sumSuffix = ".sum"
	minSuffix = ".min"
	maxSuffix = ".max"
)

// partOf reads a measurement of a summary. What says nothing is the neutral value of its kind.
func partOf(m measured) (name string, sum, low, high float64) {
	if n, ok := strings.CutSuffix(m.name, sumSuffix); ok {
		return n, m.value, inf, -inf
	}
	if n, ok := strings.CutSuffix(m.name, minSuffix); ok {
		return n, 0, m.value, -inf
	}
	if n, ok := strings.CutSuffix(m.name, maxSuffix); ok {
		return n, 0, inf, m.value
	}
	return m.name, m.value, m.value, m.value
}

func (h *held) measure(m aggregate) {
	for i := range h.aggregates {
		if g := &h.aggregates[i]; g.name == m.name {
			g.sum += m.sum
			g.min = min(g.min, m.min)
			g.max = max(g.max, m.max)
			g.whole = g.whole && m.whole
			return
		}
	}
	if len(h.aggregates) < maxAggregates {
		m.name = strings.Clone(m.name) // the caller's may be part of a longer string
		h.aggregates = append(h.aggregates, m)
	}
}

// maxAggregates bounds the measurements of one summary; measurements of further names are left out of it.
const maxAggregates = 64
