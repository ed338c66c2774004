package dedup

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// sink is the next consumer: it keeps what it accepts, and fails when told to.
type sink struct {
	mu      sync.Mutex
	fail    func() error
	records []plog.LogRecord
	names   []string // resource attribute "r" of each record
	weights map[string]float64
}

func (s *sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *sink) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(); err != nil {
			return err
		}
	}
	for _, rl := range ld.ResourceLogs().All() {
		name := ""
		if v, ok := rl.Resource().Attributes().Get("r"); ok {
			name = v.Str()
		}
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				kept := plog.NewLogRecord()
				lr.CopyTo(kept)
				s.records = append(s.records, kept)
				s.names = append(s.names, name)
				if s.weights == nil {
					s.weights = map[string]float64{}
				}
				s.weights[lr.EventName()+"/"+name] += weightOfRecord(lr)
			}
		}
	}
	return nil
}

func (s *sink) all() []plog.LogRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]plog.LogRecord(nil), s.records...)
}

func (s *sink) weight() (sum float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.weights {
		sum += w
	}
	return sum
}

func weightOfRecord(lr plog.LogRecord) float64 {
	if v, ok := lr.Attributes().Get(attr.AdjustedCount); ok {
		n, _ := number(v)
		return n
	}
	return 1
}

// rig is a processor whose clock and outlet the test moves.
type rig struct {
	*dedupProcessor
	t    testing.TB
	sink *sink
	time atomic.Int64
	host component.Host
}

// newRig starts a processor without its goroutine; step does what that would do.
func newRig(t testing.TB, cfg *Config, next *sink, host component.Host, at int64) *rig {
	t.Helper()
	require.NoError(t, cfg.Validate())
	p, err := newProcessor(processortest.NewNopSettings(typ), cfg, next)
	require.NoError(t, err)
	r := &rig{dedupProcessor: p, t: t, sink: next, host: host}
	r.time.Store(at)
	p.now = r.time.Load
	if host == nil {
		r.host = componenttest.NewNopHost()
	}
	require.NoError(t, p.Start(context.Background(), r.host))
	p.outlet.stop() // the test steps in its place
	return r
}

const someTime = int64(1_700_000_000_000_000_000)

// pass moves the clock, and lets the outlet work.
func (r *rig) pass(d time.Duration) {
	r.time.Add(int64(d))
	r.step()
}

func (r *rig) step() {
	now := r.now()
	r.outlet.collect(now)
	r.outlet.drain(now)
	r.outlet.deliver(context.Background(), now)
}

func config(rules ...Rule) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Rules = rules
	for i := range cfg.Rules {
		if cfg.Rules[i].CallerLimits == (CallerLimits{}) {
			cfg.Rules[i].CallerLimits = CallerLimits{Window: time.Hour, BatchSize: 10_000, BatchTimeout: time.Minute}
		}
		if s := cfg.Rules[i].Sampling; s != nil && s.Window == 0 {
			s.Window = 10 * time.Second
		}
	}
	return cfg
}

func dedupRule(window time.Duration, emit string) Rule {
	return Rule{Dedup: &DedupConfig{Window: window, Emit: emit}}
}

// events makes a batch of n equal events.
func events(n int, name, dedupKey string, edit ...func(i int, lr plog.LogRecord)) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("r", "one")
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := range n {
		lr := records.AppendEmpty()
		lr.SetEventName(name)
		if dedupKey != "" {
			lr.Attributes().PutStr(attr.DedupKey, dedupKey)
		}
		for _, e := range edit {
			e(i, lr)
		}
	}
	return ld
}

func (r *rig) send(ld plog.Logs) {
	r.t.Helper()
	require.NoError(r.t, r.ConsumeLogs(context.Background(), ld))
}

func intOf(t testing.TB, lr plog.LogRecord, name string) int64 {
	t.Helper()
	v, ok := lr.Attributes().Get(name)
	require.True(t, ok, "no %s in %v", name, lr.Attributes().AsRaw())
	return v.Int()
}

// weighed returns the weights by event name and resource.
func (s *sink) weighed() map[string]float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]float64{}
	for name, w := range s.weights {
		if w != 0 {
			all[name] = w
		}
	}
	return all
}
