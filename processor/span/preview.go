// This file foresees what enriching would do while its flag is off: for a while after somebody asked, each record is
// tried on a copy, and passes as it came.

package span

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// previewFor is how long records are tried after a question: nobody pays for what nobody asks.
const previewFor = time.Minute

// preview is what was foreseen since somebody began to ask.
type preview struct {
	name    string
	flag    flag.Handle
	since   atomic.Int64 // unix ns
	until   atomic.Int64 // unix ns; past: nobody asks
	records atomic.Int64
	gain    atomic.Int64 // of the records, those that would be enriched
}

var _ operator.Previewer = (*preview)(nil)

// asked reports whether somebody has asked lately.
func (p *preview) asked() bool {
	until := p.until.Load()
	return until != 0 && time.Now().UnixNano() < until
}

func (p *preview) add(records, gain int64) {
	p.records.Add(records)
	p.gain.Add(gain)
}

// Name is the processor's id.
func (p *preview) Name() string { return p.name }

// Previews implements operator.Previewer.
func (p *preview) Previews() []operator.Preview {
	answer := operator.Preview{Flag: p.flag.Name()}
	if p.flag.Enabled() {
		answer.Summary = "log records are enriched: otelcol_open_spans_enrichments counts them"
		return []operator.Preview{answer}
	}
	now := time.Now()
	if !p.asked() {
		p.since.Store(now.UnixNano())
		p.records.Store(0)
		p.gain.Store(0)
	}
	p.until.Store(now.Add(previewFor).UnixNano())
	watched := time.Duration(now.UnixNano() - p.since.Load()).Round(time.Second)
	records, gain := p.records.Load(), p.gain.Load()
	if records == 0 {
		answer.Summary = fmt.Sprintf("no log record has passed in the %s since somebody asked: ask again when some have", watched)
		return []operator.Preview{answer}
	}
	answer.Summary = fmt.Sprintf("of %d log records in %s, %d (%.1f %%) would gain error context", records, watched, gain, 100*float64(gain)/float64(records))
	answer.Detail = map[string]any{"records": records, "enriched": gain}
	return []operator.Preview{answer}
}
