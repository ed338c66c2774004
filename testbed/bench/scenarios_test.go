package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/testbed/backend"
	"github.com/foundation-agent/foundation-agent/testbed/load"
)

// scenario is one kind of load and the contenders that take it. The first contender is the floor of the agent;
// a peer on another core has a floor of its own.
type scenario struct {
	name, what string
	unit       string // what a record is
	records    int
	sources    func(t *testing.T) []*load.Source
	contenders []contender
	// before prepares a contender for the load.
	before func(t *testing.T, l *life)
	// beside runs beside the load until halt is closed.
	beside func(l *life, halt <-chan struct{}) error
	// check is what must be true of what the second contender sends to a backend.
	check func(t *testing.T, sent int, at *backend.Backend)
}

// besides runs what is beside the load, until the function it returns is called.
func (s scenario) besides(t *testing.T, l *life) (end func()) {
	if s.beside == nil {
		return func() {}
	}
	halt, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- s.beside(l, halt) }()
	return func() {
		close(halt)
		require.NoError(t, <-done)
	}
}

var (
	floor       = contender{name: "empty pipeline", config: "floor"}
	stored      = contender{name: "event_dedup, stored", config: "event_dedup_stored"}
	peerFloor   = contender{name: "empty pipeline, core 0.149", peer: "log_dedup", config: "floor"}
	eventDedup  = contender{name: "event_dedup", config: "event_dedup"}
	onTheWire   = contender{name: "event_dedup and wire_dedup", config: "event_dedup_wire"}
	logDedup    = contender{name: "contrib log_dedup 0.149", peer: "log_dedup", config: "log_dedup"}
	flagged     = contender{name: "event_dedup with flags", config: "event_dedup_flags"}
	asShipped   = contender{name: "the agent as shipped"}
	lifecycle   = contender{name: "span_lifecycle", config: "span_lifecycle"}
	byTrace     = contender{name: "contrib groupbytrace", peer: "traces", config: "groupbytrace"}
	tail        = contender{name: "contrib tail_sampling", peer: "traces", config: "tail_sampling"}
	probability = contender{name: "contrib probabilistic_sampler", peer: "traces", config: "probabilistic_sampler"}

	logContenders = []contender{floor, eventDedup, onTheWire, stored, peerFloor, logDedup}
)

// one is the only source of a scenario.
func one(make func() (*load.Source, error)) func(t *testing.T) []*load.Source {
	return func(t *testing.T) []*load.Source {
		s, err := make()
		require.NoError(t, err)
		return []*load.Source{s}
	}
}

func logScenario(name, what string, records int, shape load.LogShape) scenario {
	if shape.Event == "" {
		shape.Event = "order.failed"
	}
	if shape.Batch == 0 {
		shape.Batch = 1000
	}
	return scenario{
		name: name, what: what, unit: "record", records: records, contenders: logContenders, check: checkWeights,
		sources: one(func() (*load.Source, error) { return load.Logs(name, shape) }),
	}
}

func spanScenario(name, what, unit string, records int, make func(string, load.SpanShape) (*load.Source, error), contenders ...contender) scenario {
	return scenario{
		name: name, what: what, unit: unit, records: records, contenders: contenders, check: checkSpans,
		sources: one(func() (*load.Source, error) { return make(name, load.SpanShape{Batch: 1000}) }),
	}
}

// scenarios in the order of the table.
func scenarios() []scenario {
	return []scenario{
		logScenario("duplicates, 1 key", "Every record is the same event.", 2_000_000, load.LogShape{Key: load.Cycle(1)}),
		logScenario("duplicates, 1,000 keys", "A thousand events over and over.", 2_000_000, load.LogShape{Key: load.Cycle(1000)}),
		logScenario("duplicates, 1,000 dedup_keys", "The same, identified by dedup_key instead of the whole record.", 2_000_000,
			load.LogShape{Key: load.Cycle(1000), Explicit: true}),
		logScenario("duplicates, 1,000,000 keys", "Each key comes about twice.", 2_000_000, load.LogShape{Key: load.Cycle(1_000_000)}),
		logScenario("unique events", "No record comes twice: all is table, nothing is saved.", 1_000_000, load.LogShape{Key: load.Unique}),
		logScenario("Zipf mix", "Keys by Zipf's law, s = 1.1 over a million: few loud, many rare.", 1_000_000,
			load.LogShape{Key: load.Zipf(1.1, 1_000_000)}),
		logScenario("big attributes", "A thousand keys, 16 attributes of 1 KiB a record.", 50_000,
			load.LogShape{Key: load.Cycle(1000), Extra: 16, ExtraBytes: 1024, Batch: 100}),
		spanScenario("complete spans", "Spans as SDKs send them: they only pass.", "span", 2_000_000, load.Spans,
			floor, lifecycle, probability),
		spanScenario("complete spans, held by trace", "Contrib's ways of holding spans for a while, on fewer spans: they cost more.", "span", 100_000, load.Spans,
			floor, lifecycle, byTrace, tail),
		spanScenario("start and end pairs", "Half spans that the agent joins; the floor passes 2 halves.", "pair", 1_000_000, load.Pairs,
			floor, lifecycle),
		errorContext(),
		flagsFlipping(),
		mixed(),
	}
}

// openForContext is how many spans are open while logs are written in them.
const openForContext = 1000

// errorContext: every record is written in one of a thousand open spans, which have a context.
func errorContext() scenario {
	s := logScenario("logs with error context", "Each record gains the context of the open span it was written in, and of that span's parent.", 1_000_000,
		load.LogShape{Key: load.Cycle(1000), Spans: openForContext})
	s.contenders = []contender{floor, lifecycle}
	s.before = func(t *testing.T, l *life) {
		starts, err := load.Starts("open spans", load.SpanShape{Batch: 1000})
		require.NoError(t, err)
		l.send(t, []*load.Source{starts}, openForContext)
	}
	s.check = func(t *testing.T, sent int, at *backend.Backend) {
		require.Equal(t, sent, at.Logs().Event("order.failed").Enriched)
	}
	return s
}

// flagsFlipping: the flag of the rules changes ten times a second while events flow.
func flagsFlipping() scenario {
	s := logScenario("flags flipping", "A thousand keys, while the flag of event_dedup goes off and on ten times a second.", 2_000_000,
		load.LogShape{Key: load.Cycle(1000)})
	s.contenders = []contender{floor, flagged, eventDedup}
	s.beside = func(l *life, halt <-chan struct{}) error {
		return l.flags.Run(halt, 100*time.Millisecond, "use_ets_sampled_events")
	}
	return s
}

// mixed is everything at once, through the pipeline that a user gets without a configuration.
func mixed() scenario {
	return scenario{
		name: "the mixed default pipeline", what: "Events of 1,000 keys, plain logs, complete spans and pairs, a quarter each, through config/agent.yaml with its storage.",
		unit: "record", records: 1_000_000, contenders: []contender{floor, asShipped},
		sources: func(t *testing.T) []*load.Source {
			events, err := load.Logs("events", load.LogShape{Event: "order.failed", Batch: 1000, Key: load.Cycle(1000)})
			require.NoError(t, err)
			plain, err := load.Logs("plain logs", load.LogShape{Batch: 1000, Key: load.Unique})
			require.NoError(t, err)
			complete, err := load.Spans("complete spans", load.SpanShape{Batch: 1000, Offset: 1 << 40})
			require.NoError(t, err)
			pairs, err := load.Pairs("pairs", load.SpanShape{Batch: 1000})
			require.NoError(t, err)
			return []*load.Source{events, plain, complete, pairs}
		},
		check: func(t *testing.T, sent int, at *backend.Backend) {
			// The agent keeps open windows for its next life; firsts and plain logs have left.
			require.Zero(t, at.Logs().Event("order.failed").Wrong)
			require.Equal(t, sent/4, at.Logs().Event("").Firsts)
			require.Equal(t, sent/2, at.Spans().Totals().Once())
		},
	}
}
