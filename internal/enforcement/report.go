// This file shows what was found: as a table at the operators' door, and to the staged_migration
// extension, for preview and verify.

package enforcement

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// Reporter is a table that tells violations.
type Reporter interface {
	Violations() operator.ViolationSummary
}

// bytesPerOffender is an estimate of what one costs: its name, the LRU's entry, the counters.
const bytesPerOffender = 250

// Name implements operator.Table.
func (p *Policy) Name() string { return p.place + "/violations" }

// Info implements operator.Table.
func (p *Policy) Info() operator.TableInfo {
	v := p.Violations()
	return operator.TableInfo{
		Entries: int64(len(v.Offenders)), Bytes: int64(len(v.Offenders)) * bytesPerOffender, MaxEntries: int64(p.cfg.Offenders),
		Detail: map[string]any{"strict": v.Strict, "total": v.Total, "kinds": v.Kinds},
	}
}

// Violations sums up what was found since the start, offenders by count.
func (p *Policy) Violations() operator.ViolationSummary {
	v := operator.ViolationSummary{
		Strict: p.strict != nil && p.strict.Enabled(), Kinds: map[string]int64{}, Offenders: []operator.ViolationSender{},
		Places: []operator.ViolationPlace{{Place: p.place}},
	}
	p.Each(func(kind string, refused, marked int64) {
		if refused+marked > 0 {
			v.Kinds[kind] = refused + marked
		}
		v.Total += refused + marked
		v.Places[0].Refused += refused
		v.Places[0].Marked += marked
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.offenders.Keys() {
		known, _ := p.offenders.Peek(o)
		v.Offenders = append(v.Offenders, operator.ViolationSender{Sender: o.sender, Kind: o.kind.String(), Count: known.count, Last: known.last.UTC()})
	}
	slices.SortFunc(v.Offenders, func(a, b operator.ViolationSender) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Sender, b.Sender), cmp.Compare(a.Kind, b.Kind))
	})
	return v
}

// Previews implements operator.Previewer: what was counted is what strict would refuse. It is of no flag
// where nothing is ever refused.
func (p *Policy) Previews() []operator.Preview {
	v := p.Violations()
	return []operator.Preview{{
		Flag:    p.flag,
		Summary: fmt.Sprintf("%s would refuse what it has counted: %d records of %d senders", p.place, v.Total, len(v.Offenders)),
		Detail:  map[string]any{"kinds": v.Kinds, "offenders": v.Offenders[:min(10, len(v.Offenders))]},
	}}
}
