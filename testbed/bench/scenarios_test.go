package bench

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/testbed/load"
)

// scenario is one kind of load and the contenders that take it. The first contender is the floor of the agent;
// a peer on another core has a floor of its own.
type scenario struct {
	name, what string
	unit       string // what a record is
	records    int
	source     func(t *testing.T) *load.Source
	contenders []contender
	// check is what must be true of the agent's output of the scenario, at a backend.
	check func(t *testing.T, sent int, l *life, at account)
}

var (
	floor       = contender{name: "empty pipeline", config: "floor"}
	peerFloor   = contender{name: "empty pipeline, core 0.149", peer: "log_dedup", config: "floor"}
	eventDedup  = contender{name: "event_dedup", config: "event_dedup"}
	logDedup    = contender{name: "contrib log_dedup 0.149", peer: "log_dedup", config: "log_dedup"}
	lifecycle   = contender{name: "span_lifecycle", config: "span_lifecycle"}
	byTrace     = contender{name: "contrib groupbytrace", peer: "traces", config: "groupbytrace"}
	tail        = contender{name: "contrib tail_sampling", peer: "traces", config: "tail_sampling"}
	probability = contender{name: "contrib probabilistic_sampler", peer: "traces", config: "probabilistic_sampler"}

	logContenders = []contender{floor, eventDedup, peerFloor, logDedup}
)

func logScenario(name, what string, records int, shape load.LogShape) scenario {
	if shape.Event == "" {
		shape.Event = "order.failed"
	}
	if shape.Batch == 0 {
		shape.Batch = 1000
	}
	return scenario{
		name: name, what: what, unit: "record", records: records, contenders: logContenders, check: checkWeights,
		source: func(t *testing.T) *load.Source {
			s, err := load.Logs(name, shape)
			require.NoError(t, err)
			return s
		},
	}
}

func spanScenario(name, what, unit string, records int, make func(string, load.SpanShape) (*load.Source, error), contenders ...contender) scenario {
	return scenario{
		name: name, what: what, unit: unit, records: records, contenders: contenders, check: checkSpans,
		source: func(t *testing.T) *load.Source {
			s, err := make(name, load.SpanShape{Batch: 1000})
			require.NoError(t, err)
			return s
		},
	}
}

// scenarios in the order of the table.
func scenarios() []scenario {
	return []scenario{
		logScenario("duplicates, 1 key", "Every record is the same event.", 3_000_000, load.LogShape{Key: load.Cycle(1)}),
		logScenario("duplicates, 1,000 keys", "A thousand events over and over.", 3_000_000, load.LogShape{Key: load.Cycle(1000)}),
		logScenario("duplicates, 1,000 dedup_keys", "The same, identified by dedup_key instead of the whole record.", 3_000_000,
			load.LogShape{Key: load.Cycle(1000), Explicit: true}),
		logScenario("duplicates, 1,000,000 keys", "Each key comes about twice.", 2_000_000, load.LogShape{Key: load.Cycle(1_000_000)}),
		logScenario("unique events", "No record comes twice: all is table, nothing is saved.", 1_000_000, load.LogShape{Key: load.Unique}),
		logScenario("Zipf mix", "Keys by Zipf's law, s = 1.1 over a million: few loud, many rare.", 2_000_000,
			load.LogShape{Key: load.Zipf(1.1, 1_000_000)}),
		logScenario("big attributes", "A thousand keys, 16 attributes of 1 KiB a record.", 50_000,
			load.LogShape{Key: load.Cycle(1000), Extra: 16, ExtraBytes: 1024, Batch: 100}),
		spanScenario("complete spans", "Spans as SDKs send them: they only pass.", "span", 3_000_000, load.Spans,
			floor, lifecycle, probability),
		spanScenario("complete spans, held by trace", "Contrib's ways of holding spans for a while, on fewer spans: they cost more.", "span", 100_000, load.Spans,
			floor, lifecycle, byTrace, tail),
		spanScenario("start and end pairs", "Half spans that the agent joins; the floor passes 2 halves.", "pair", 1_000_000, load.Pairs,
			floor, lifecycle),
	}
}
