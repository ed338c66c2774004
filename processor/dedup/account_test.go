package dedup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"pgregory.net/rapid"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/wire"
)

// The account: for every event name and resource, the weights of what leaves sum to the weights that came in, over
// random rules, sizes, clocks, evictions, flag flips, restarts and export failures.
func TestAccountHolds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t, drawConfig(rt))
		rt.Repeat(map[string]func(*rapid.T){
			"send":    m.send,
			"advance": m.advance,
			"fail":    m.fail,
			"flip":    func(rt *rapid.T) { m.flag.set(rapid.Bool().Draw(rt, "on")) },
			"restart": func(rt *rapid.T) { m.restart(rt) },
			"write":   m.write,
			"":        m.check,
		})
		m.finish(rt)
	})
}

// The same where repeats are taken out of requests: of one rule that only suppresses, and few events.
func TestAccountHoldsOverRepeats(t *testing.T) {
	taken := 0
	rapid.Check(t, func(rt *rapid.T) {
		cfg := drawConfig(rt)
		cfg.Rules = []Rule{dedupRule(time.Second, emitFirstAndSummary)}
		m := newModel(t, cfg)
		rt.Repeat(map[string]func(*rapid.T){
			"one":     m.one,
			"learn":   m.learn,
			"repeat":  func(rt *rapid.T) { taken += m.repeat(rt) },
			"advance": m.advance,
			"fail":    m.fail,
			"flip":    func(rt *rapid.T) { m.flag.set(rapid.Bool().Draw(rt, "on")) },
			"":        m.check,
		})
		m.finish(rt)
	})
	require.Positive(t, taken)
}

// model knows what came in.
type model struct {
	t       *testing.T
	rig     *rig
	cfg     *Config
	storage *memory
	flag    *switchable
	sink    *sink
	in      map[string]float64
	refused float64 // weights that the next consumer refused for good
	repeats []taken
	setBack bool // a clock of whole milliseconds that was set back, or stood, may repeat the start of a window
}

func newModel(t *testing.T, cfg *Config) *model {
	m := &model{t: t, cfg: cfg, storage: newMemory(), flag: &switchable{on: true}, sink: &sink{}, in: map[string]float64{}}
	m.start(someTime)
	return m
}

func (m *model) start(at int64) {
	cfg := *m.cfg // what restarts has a configuration of its own
	m.rig = newRig(m.t, &cfg, m.sink, testHost{storageID: m.storage, flagsID: m.flag}, at)
}

func drawConfig(rt *rapid.T) *Config {
	rules := make([]Rule, rapid.IntRange(1, 3).Draw(rt, "rules"))
	for i := range rules {
		rules[i] = drawRule(rt)
	}
	cfg := config(rules...)
	cfg.Storage, cfg.Flags = &storageID, &flagsID
	cfg.MaxKeys = rapid.SampledFrom([]int{1, 2, 5, 1000}).Draw(rt, "max_keys")
	cfg.MaxBytes = rapid.SampledFrom([]int64{1 << 10, 1 << 20}).Draw(rt, "max_bytes")
	cfg.Queue.Records = rapid.SampledFrom([]int{1, 3, 1000}).Draw(rt, "queue")
	cfg.OnShutdown = rapid.SampledFrom([]string{shutdownKeep, shutdownDeliver}).Draw(rt, "on_shutdown")
	return cfg
}

func drawRule(rt *rapid.T) Rule {
	var r Rule
	r.Match.Events = []string{rapid.SampledFrom([]string{"*", "a.*", "*.x", "b.y"}).Draw(rt, "events")}
	steps := rapid.IntRange(1, 7).Draw(rt, "steps")
	if steps&1 != 0 {
		r.Dedup = &DedupConfig{
			Window: time.Duration(rapid.IntRange(1, 3000).Draw(rt, "window")) * time.Millisecond,
			Emit:   rapid.SampledFrom([]string{emitFirstAndSummary, emitFirst, emitSummary}).Draw(rt, "emit"),
		}
	}
	if steps&2 != 0 {
		r.Sampling = &SamplingConfig{
			Strategy: rapid.SampledFrom([]string{sampleAlways, sampleNever, sampleRateLimited, sampleAdaptive, sampleReservoir}).Draw(rt, "strategy"),
			Rate:     2, Target: 3, Size: 3, Window: time.Second,
			MaxWait: rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(rt, "max_wait"),
		}
	}
	if steps&4 != 0 {
		r.Batch = &BatchConfig{Size: rapid.IntRange(1, 10).Draw(rt, "size"), Timeout: time.Second}
	}
	r.Caller = rapid.Bool().Draw(rt, "caller")
	r.DryRun = rapid.IntRange(0, 5).Draw(rt, "dry_run") == 0
	return r
}

func (m *model) send(rt *rapid.T) {
	trusted := rapid.Bool().Draw(rt, "trusted")
	ctx := context.Background()
	if trusted {
		ctx = door.WithCaller(ctx, door.Caller{})
	}
	ld := plog.NewLogs()
	came := map[string]float64{}
	for r := range rapid.IntRange(1, 2).Draw(rt, "resources") {
		rl := ld.ResourceLogs().AppendEmpty()
		resource := fmt.Sprint("res", r)
		rl.Resource().Attributes().PutStr("r", resource)
		records := rl.ScopeLogs().AppendEmpty().LogRecords()
		for range rapid.IntRange(0, 12).Draw(rt, "records") {
			lr := records.AppendEmpty()
			came[m.draw(rt, lr)+"/"+resource]++
			if trusted {
				came[lr.EventName()+"/"+resource] += weightOfRecord(lr) - 1
			}
		}
	}
	before := m.refusedHere()
	if err := m.rig.ConsumeLogs(ctx, ld); err != nil && !consumererror.IsPermanent(err) {
		return // the sender keeps them
	}
	m.refused += m.refusedHere() - before
	for name, weight := range came {
		m.in[name] += weight
	}
}

// taken is a record that may be taken out of requests.
type taken struct {
	event wire.Event
	name  string
}

// few are the records of which some repeat.
func few(rt *rapid.T) (one plog.Logs, name string) {
	one = plog.NewLogs()
	rl := one.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("r", "res")
	lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.SetEventName(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "name"))
	lr.Attributes().PutInt(attr.MeasurementPre+"n", 1)
	return one, lr.EventName() + "/res"
}

func (m *model) one(rt *rapid.T) {
	one, name := few(rt)
	before := m.refusedHere()
	if err := m.rig.ConsumeLogs(context.Background(), one); err != nil && !consumererror.IsPermanent(err) {
		return
	}
	m.refused += m.refusedHere() - before
	m.in[name]++
}

func (m *model) learn(rt *rapid.T) {
	one, name := few(rt)
	if event := m.rig.Learn(one); event != nil && m.rig.Open() && event.Suppressed() > 0 {
		m.repeats = append(m.repeats, taken{event, name})
	}
}

// repeat counts what was taken out, at any time after it was found suppressed: the answer to the rest of its request
// may take as long, and the key may be gone.
func (m *model) repeat(rt *rapid.T) int {
	if len(m.repeats) == 0 {
		return 0
	}
	r := rapid.SampledFrom(m.repeats).Draw(rt, "taken")
	n := rapid.IntRange(1, 5).Draw(rt, "times")
	r.event.Count(n)
	m.in[r.name] += float64(n)
	return n
}

func (m *model) draw(rt *rapid.T, lr plog.LogRecord) string {
	lr.SetEventName(rapid.SampledFrom([]string{"a.x", "a.y", "b.x", "b.y"}).Draw(rt, "name"))
	attrs := lr.Attributes()
	if rapid.Bool().Draw(rt, "keyed") {
		attrs.PutStr(attr.DedupKey, rapid.SampledFrom([]string{"k", "l", "m"}).Draw(rt, "key"))
	} else {
		lr.Body().SetInt(int64(rapid.IntRange(0, 5).Draw(rt, "body")))
	}
	switch rapid.IntRange(0, 7).Draw(rt, "control") {
	case 0:
		attrs.PutInt(attr.AdjustedCount, int64(rapid.IntRange(1, 9).Draw(rt, "weight")))
	case 1:
		attrs.PutBool(attr.Summary, true)
		attrs.PutInt(attr.LogCount, 5)
		attrs.PutInt(attr.AdjustedCount, 4)
	case 2:
		attrs.PutStr(attr.OncePer, "300ms")
	case 3:
		attrs.PutStr(attr.BatchKey, "b")
		attrs.PutInt(attr.BatchSize, 3)
	}
	return lr.EventName()
}

func (m *model) refusedHere() (sum float64) {
	for _, r := range m.rig.table.rules {
		sum += r.stats.refused.load()
	}
	return sum
}

func (m *model) advance(rt *rapid.T) {
	before := m.refusedHere()
	m.rig.pass(time.Duration(rapid.IntRange(0, 4000).Draw(rt, "ms")) * time.Millisecond)
	m.refused += m.refusedHere() - before
}

func (m *model) fail(rt *rapid.T) {
	mode := rapid.SampledFrom([]string{"none", "retryable", "permanent", "every second"}).Draw(rt, "mode")
	calls := 0
	m.sink.fail = func() error {
		calls++
		switch {
		case mode == "permanent":
			return consumererror.NewPermanent(errors.New("no"))
		case mode == "retryable", mode == "every second" && calls%2 == 0:
			return errors.New("down")
		}
		return nil
	}
}

// write stores the changes, or all: what comes later is told apart from what storage has.
func (m *model) write(rt *rapid.T) {
	if rapid.Bool().Draw(rt, "all") {
		require.NoError(rt, m.rig.state.log.Reset(context.Background()))
		return
	}
	require.NoError(rt, m.rig.state.log.Sync(context.Background()))
}

// restart stops and starts the processor, sometimes with other rules; the rest of the process goes on.
func (m *model) restart(rt *rapid.T) {
	before := m.refusedHere()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	require.NoError(rt, m.rig.Shutdown(ctx))
	m.refused += m.refusedHere() - before
	down := time.Duration(rapid.IntRange(-1000, 3000).Draw(rt, "down")) * time.Millisecond
	m.setBack = m.setBack || down <= 0
	if rapid.IntRange(0, 3).Draw(rt, "reconfigured") == 0 {
		m.cfg = drawConfig(rt)
	}
	m.start(m.rig.now() + int64(down))
}

// check holds at any moment: what has left and what is held is what came in.
func (m *model) check(rt *rapid.T) {
	held := 0.0
	for _, r := range m.rig.table.rules {
		held += r.stats.held.load()
	}
	in := 0.0
	for _, weight := range m.in {
		in += weight
	}
	if diff := in - m.sink.weight() - held - m.refused; math.Abs(diff) > 1e-6 {
		rt.Fatalf("in %v, out %v, held %v, refused %v: %v is missing", in, m.sink.weight(), held, m.refused, diff)
	}
}

// finish delivers everything, and compares by event name and resource.
func (m *model) finish(rt *rapid.T) {
	m.sink.fail = nil
	m.check(rt)
	require.NoError(rt, m.rig.outlet.deliverAll(context.Background()))
	require.NoError(rt, m.rig.Shutdown(context.Background()))
	m.check(rt)
	ids := map[string]bool{}
	for _, lr := range m.sink.all() {
		if v, ok := lr.Attributes().Get(attr.RecordID); ok && !m.setBack {
			require.False(rt, ids[v.Str()], "record id %s left twice", v.Str())
			ids[v.Str()] = true
		}
	}
	if m.refused == 0 {
		maps.DeleteFunc(m.in, func(_ string, w float64) bool { return w == 0 })
		require.Equal(rt, m.in, m.sink.weighed())
	}
}
