// This file shows what the rules do, or would do: the table for operators, and reports of dry runs in the log.

package dedup

import (
	"cmp"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

const (
	topKeys      = 10
	explainEvery = time.Minute
)

// TopKey is one of the busiest keys of a rule.
type TopKey struct {
	Event    string  `json:"event"`
	DedupKey string  `json:"dedup_key,omitempty"`
	Body     string  `json:"body,omitempty"` // where there is no dedup_key
	Events   float64 `json:"events"`         // suppressed in the present window
	Held     bool    `json:"held"`           // they wait for a summary; in a dry run they have passed
}

// RuleReport is what a rule does, or in a dry run would do.
type RuleReport struct {
	DryRun          bool     `json:"dry_run"`
	In              float64  `json:"in"`
	Restored        float64  `json:"restored"` // in and restored are out, held and refused
	Out             float64  `json:"out"`
	Held            float64  `json:"held"`
	Refused         float64  `json:"refused"`
	Suppressed      int64    `json:"suppressed"`
	SampledOut      int64    `json:"sampled_out"`
	Batched         int64    `json:"batched"`
	Summaries       int64    `json:"summaries"`
	Evicted         int64    `json:"evicted"`
	SuppressedShare float64  `json:"suppressed_share"` // of the events that came in
	Keys            int64    `json:"keys"`
	Bytes           int64    `json:"bytes"` // memory that its keys take (estimate)
	TopKeys         []TopKey `json:"top_keys"`
}

// busy is a candidate for the top keys.
type busy struct {
	events float64
	kept   *kept
}

// reports looks at every entry, one shard at a time.
func (p *dedupProcessor) reports() map[string]*RuleReport {
	all := make([]*RuleReport, len(p.table.rules))
	tops := make([][]busy, len(p.table.rules))
	for i, r := range p.table.rules {
		s := &r.stats
		all[i] = &RuleReport{DryRun: r.dryRun, In: s.in.load(), Restored: s.restored.load(), Out: s.out.load(), Held: s.held.load(), Refused: s.refused.load(),
			Suppressed: s.suppressed.Load(), SampledOut: s.sampledOut.Load(), Batched: s.batched.Load(),
			Summaries: s.summaries.Load(), Evicted: s.evicted.Load(), TopKeys: []TopKey{}}
		if all[i].In > 0 {
			all[i].SuppressedShare = float64(all[i].Suppressed) / all[i].In
		}
	}
	for _, s := range p.table.shards {
		s.mu.Lock()
		s.each(func(_ uint32, e *entry) {
			report := all[e.rule]
			report.Keys++
			report.Bytes += int64(entryBytes + 2*bucketBytes)
			h := s.heldBy(e)
			if h == nil {
				return
			}
			report.Bytes += h.bytes()
			if h.weight > 0 && h.kept != nil {
				tops[e.rule] = top(tops[e.rule], busy{h.weight, h.kept})
			}
		})
		s.mu.Unlock()
	}
	named := map[string]*RuleReport{}
	for i, r := range p.table.rules {
		for _, b := range tops[i] {
			all[i].TopKeys = append(all[i].TopKeys, b.describe(!r.dryRun))
		}
		named[r.name] = all[i]
	}
	return named
}

// top keeps the busiest, in order.
func top(best []busy, b busy) []busy {
	if len(best) == topKeys && b.events <= best[topKeys-1].events {
		return best
	}
	at, _ := slices.BinarySearchFunc(best, b, func(x, y busy) int { return cmp.Compare(y.events, x.events) })
	best = slices.Insert(best, at, b)
	return best[:min(len(best), topKeys)]
}

func (b busy) describe(held bool) TopKey {
	k := TopKey{Events: b.events, Held: held}
	_, lr, err := b.kept.logs()
	if err != nil {
		return k
	}
	k.Event = clip(lr.EventName())
	if v, ok := lr.Attributes().Get(attr.DedupKey); ok {
		k.DedupKey = clip(v.AsString())
	} else {
		k.Body = clip(lr.Body().AsString())
	}
	return k
}

// clip shortens what comes from outside.
func clip(s string) string {
	const most = 120
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// explain logs now and then what the dry runs would have done.
func (o *outlet) explain(now int64) {
	if !slices.ContainsFunc(o.p.rules, func(r *rule) bool { return r.dryRun }) || now-o.explained < int64(explainEvery) {
		return
	}
	first := o.explained == 0
	o.explained = now
	if first {
		return
	}
	for name, report := range o.p.reports() {
		if report.DryRun {
			o.p.set.Logger.Info("Dry run of a rule", zap.String("rule", name), zap.Float64("events", report.In),
				zap.Float64("suppressed_share", report.SuppressedShare), zap.Int64("sampled_out", report.SampledOut),
				zap.Int64("keys", report.Keys), zap.Int64("bytes", report.Bytes), zap.Any("top_keys", report.TopKeys))
		}
	}
}

// info describes the table.
func (p *dedupProcessor) info() operator.TableInfo {
	keys, bytes := p.table.size()
	detail := map[string]any{
		"rules":            p.reports(),
		"enabled":          p.flag.Enabled(),
		"queued_summaries": p.table.waiting.records.Load(),
		"queued_bytes":     p.table.waiting.bytes.Load(),
		"flush_failures":   p.outlet.failures.Load(),
		"stripped":         p.stripped.Load(),
	}
	info := operator.TableInfo{Entries: keys, Bytes: bytes, MaxEntries: int64(p.cfg.MaxKeys), MaxBytes: p.cfg.MaxBytes,
		Persisted: p.state != nil, Detail: detail}
	if p.state != nil {
		if err := p.state.log.Err(); err != nil {
			detail["not_durable"] = err.Error()
		}
	}
	return info
}
