// This file foresees what the rules would do while their flag is off: for a while after somebody asked, each record
// is held against the rules beside its way, and passes as it came. Nothing of it reaches the table.

package dedup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

const (
	// previewFor is how long records are looked at after a question: nobody pays for what nobody asks.
	previewFor = time.Minute
	// previewKeys bounds the keys that are remembered for a rule; beyond it repeats are missed.
	previewKeys = 20_000
)

// preview is what was foreseen since the last time that somebody began to ask.
type preview struct {
	rules []*rule // as configured, but dry: they change nothing of a record

	until atomic.Int64 // ns of the processor's clock; past: nobody asks

	mu       sync.Mutex
	since    int64
	foreseen []*foreseen // by rule
}

// foreseen is what one rule would have done.
type foreseen struct {
	events     float64
	suppressed float64
	keys       *simplelru.LRU[key, *foreseenKey]
}

// foreseenKey is an event that was seen within its window.
type foreseenKey struct {
	until    int64 // end of its window
	repeats  float64
	event    string
	dedupKey string
}

func newPreview(configured []Rule, set component.TelemetrySettings) (*preview, error) {
	p := &preview{}
	for i, cfg := range configured {
		cfg.DryRun = true
		r, err := newRule(i, &cfg, set)
		if err != nil {
			return nil, err
		}
		p.rules = append(p.rules, r)
	}
	p.forget()
	return p, nil
}

// forget begins anew. mu is held, or nobody else knows p.
func (p *preview) forget() {
	p.foreseen = make([]*foreseen, len(p.rules))
	for i := range p.foreseen {
		keys, err := simplelru.NewLRU[key, *foreseenKey](previewKeys, nil)
		if err != nil {
			panic(err) // the size is positive
		}
		p.foreseen[i] = &foreseen{keys: keys}
	}
}

// ask has records looked at for a while, from now on.
func (p *preview) ask(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until.Load() < now {
		p.since = now
		p.forget()
	}
	p.until.Store(now + int64(previewFor))
}

func (p *preview) asked(now int64) bool { return p.until.Load() >= now }

// observe looks at a batch by a plan that is not carried out.
func (p *preview) observe(ctx context.Context, ld plog.Logs, plan *plan, t *table, trusted bool) {
	plan.prepare(ctx, ld, p.rules, t, trusted)
	p.mu.Lock()
	defer p.mu.Unlock()
	i := 0
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				if r := &plan.records[i]; r.rule != nil {
					p.foreseen[r.rule.index].take(r, lr, plan.now)
				}
				i++
			}
		}
	}
}

func (f *foreseen) take(r *planned, lr plog.LogRecord, now int64) {
	f.events += r.own
	if r.window == 0 {
		return
	}
	known, ok := f.keys.Get(r.key)
	if ok && now < known.until {
		known.repeats += r.own
		f.suppressed += r.own
		return
	}
	if !ok {
		known = &foreseenKey{event: clip(lr.EventName())}
		if v, has := lr.Attributes().Get(attr.DedupKey); has {
			known.dedupKey = clip(v.AsString())
		}
		f.keys.Add(r.key, known)
	}
	known.until = now + int64(r.window)*int64(time.Millisecond)
}

// Previews implements operator.Previewer: what switching the flag on would do to what passes now.
func (t keysTable) Previews() []operator.Preview {
	p := t.p
	answer := operator.Preview{Flag: p.cfg.Flag}
	if p.flag.Enabled() {
		answer.Summary = "the rules are at work: `foundation-agent tables info " + t.Name() + " --output json` shows what they do"
		return []operator.Preview{answer}
	}
	now := p.now()
	p.preview.ask(now)
	answer.Summary, answer.Detail = p.preview.describe(now)
	return []operator.Preview{answer}
}

func (p *preview) describe(now int64) (summary string, detail map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	detail = map[string]any{}
	var events, suppressed float64
	keys := 0
	for i, f := range p.foreseen {
		if f.events == 0 {
			continue
		}
		events, suppressed, keys = events+f.events, suppressed+f.suppressed, keys+f.keys.Len()
		detail[p.rules[i].name] = map[string]any{
			"events": f.events, "suppressed": f.suppressed, "suppressed_share": f.suppressed / f.events,
			"keys": f.keys.Len(), "bytes": f.keys.Len() * (entryBytes + 2*bucketBytes), "top_keys": f.top(),
		}
	}
	watched := time.Duration(now - p.since).Round(time.Second)
	if events == 0 {
		return fmt.Sprintf("no event has passed in the %s since somebody asked: ask again when some have", watched), detail
	}
	return fmt.Sprintf("of %.0f events in %s, %.0f (%.1f %%) would be suppressed; %d keys would take about %d bytes",
		events, watched, suppressed, 100*suppressed/events, keys, keys*(entryBytes+2*bucketBytes)), detail
}

// top are the keys with the most repeats.
func (f *foreseen) top() []TopKey {
	values := f.keys.Values()
	slices.SortFunc(values, func(a, b *foreseenKey) int { return cmp.Compare(b.repeats, a.repeats) })
	tops := []TopKey{}
	for _, k := range values[:min(topKeys, len(values))] {
		if k.repeats > 0 {
			tops = append(tops, TopKey{Event: k.event, DedupKey: k.dedupKey, Events: k.repeats})
		}
	}
	return tops
}
