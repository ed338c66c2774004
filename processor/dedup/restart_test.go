package dedup

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/door"
)

// stored is a configuration of its own for each life of a processor.
func stored(rules ...Rule) *Config {
	cfg := config(rules...)
	cfg.Storage = &storageID
	return cfg
}

func TestWindowContinuesOverARestart(t *testing.T) {
	dir := t.TempDir()
	next := &sink{}
	rule := dedupRule(10*time.Second, emitFirstAndSummary)
	at := someTime
	for life := range 4 {
		ext := fileStorage(t, dir)
		r := newRig(t, stored(rule), next, testHost{storageID: ext}, at)
		r.send(events(2500, "test.event", "k", func(_ int, lr plog.LogRecord) { lr.Attributes().PutInt("measurement.count", 1) }))
		if life == 3 {
			r.pass(10 * time.Second)
		}
		require.NoError(t, r.Shutdown(context.Background()))
		require.NoError(t, ext.Shutdown(context.Background()))
		at += int64(time.Second)
	}
	all := next.all()
	require.Len(t, all, 2, "one first and one summary")
	require.Equal(t, int64(10_000), intOf(t, all[1], attr.LogCount))
	require.Equal(t, int64(9_999), intOf(t, all[1], attr.AdjustedCount))
	require.Equal(t, int64(9_999), intOf(t, all[1], "measurement.count.sum"))
}

func TestWindowThatEndedWhileTheProcessWasDown(t *testing.T) {
	storage, next := newMemory(), &sink{}
	r := newRig(t, stored(dedupRule(time.Second, emitFirstAndSummary)), next, testHost{storageID: storage}, someTime)
	r.send(events(5, "e", "k"))
	require.NoError(t, r.Shutdown(context.Background()))
	r = newRig(t, stored(dedupRule(time.Second, emitFirstAndSummary)), next, testHost{storageID: storage}, someTime+int64(time.Hour))
	r.send(events(1, "e", "k"))
	r.step()
	require.Equal(t, 6.0, next.weight())
	require.Len(t, next.all(), 3, "first, summary, and a first an hour later")
	require.NoError(t, r.Shutdown(context.Background()))
}

func TestKillLosesNothingThatWasWritten(t *testing.T) {
	storage, next := newMemory(), &sink{}
	rules := []Rule{
		{Match: MatchConfig{Events: []string{"k"}}, Dedup: &DedupConfig{Window: time.Second, Emit: emitFirstAndSummary}},
		{Match: MatchConfig{Events: []string{"s"}}, Sampling: &SamplingConfig{Strategy: sampleReservoir, Size: 5, Window: time.Second}},
		{Match: MatchConfig{Events: []string{"b"}}, Batch: &BatchConfig{Size: 100, Timeout: time.Second}},
		{Match: MatchConfig{Events: []string{"n"}}, Sampling: &SamplingConfig{Strategy: sampleNever}},
	}
	r := newRig(t, stored(rules...), next, testHost{storageID: storage}, someTime)
	for _, name := range []string{"k", "s", "b", "n"} {
		r.send(events(30, name, "x"))
	}
	require.NoError(t, r.state.log.Sync(context.Background()))
	found := storage.crash()
	r.sink = nil
	require.NoError(t, r.Shutdown(context.Background()))

	cfg := stored(rules...)
	cfg.OnShutdown = shutdownDeliver
	r = newRig(t, cfg, next, testHost{storageID: found}, someTime+int64(100*time.Millisecond))
	r.send(events(10, "k", "x"))
	require.NoError(t, r.Shutdown(context.Background()))
	require.Equal(t, map[string]float64{"k/one": 40, "s/one": 30, "b/one": 30, "n/one": 30}, next.weighed())
}

func TestUndeliveredSummariesSurviveARestart(t *testing.T) {
	storage, next := newMemory(), &sink{}
	r := newRig(t, stored(dedupRule(time.Second, emitFirstAndSummary)), next, testHost{storageID: storage}, someTime)
	r.send(events(5, "e", "k"))
	next.fail = func() error { return fmt.Errorf("down") }
	r.pass(1500 * time.Millisecond)
	require.Equal(t, int64(1), r.table.waiting.records.Load())
	require.NoError(t, r.Shutdown(context.Background()))
	next.fail = nil
	r = newRig(t, stored(dedupRule(time.Second, emitFirstAndSummary)), next, testHost{storageID: storage}, r.now())
	r.step()
	require.Equal(t, 5.0, next.weight())
	require.NoError(t, r.Shutdown(context.Background()))
	require.Equal(t, 5.0, next.weight())
}

// A table of unique events is stored as runs, and comes back the same.
func TestUniqueKeysSurviveARestart(t *testing.T) {
	storage, next := newMemory(), &sink{}
	rule := dedupRule(10*time.Second, emitFirstAndSummary)
	rule.Caller = true // windows of their own end a run
	unique := func() plog.Logs {
		return events(2000, "e", "", func(i int, lr plog.LogRecord) {
			lr.Body().SetInt(int64(i))
			if i%100 == 0 {
				lr.Attributes().PutStr(attr.OncePer, "20s")
			}
		})
	}
	ctx := door.WithCaller(context.Background(), door.Caller{})
	r := newRig(t, stored(rule), next, testHost{storageID: storage}, someTime)
	require.NoError(t, r.ConsumeLogs(ctx, unique()))
	before := r.starts()
	require.NoError(t, r.Shutdown(ctx))
	bytes := 0
	for _, v := range storage.data {
		bytes += len(v)
	}
	require.Less(t, bytes, 2000*25, "a unique key takes a few bytes")

	r = newRig(t, stored(rule), next, testHost{storageID: storage}, someTime+int64(time.Second))
	require.Equal(t, before, r.starts())
	require.NoError(t, r.ConsumeLogs(ctx, unique()))
	require.Len(t, next.all(), 2000, "all were known")
	require.NoError(t, r.Shutdown(ctx))
}

func (r *rig) starts() map[key][2]int64 {
	starts := map[key][2]int64{}
	for _, s := range r.table.shards {
		s.each(func(_ uint32, e *entry) { starts[e.key] = [2]int64{e.start, e.end()} })
	}
	return starts
}

// What came and went between two writes is not written, nor that it went.
func TestShortWindowsAreNotWritten(t *testing.T) {
	storage, next := newMemory(), &sink{}
	cfg := stored(dedupRule(10*time.Millisecond, emitFirstAndSummary))
	cfg.StorageInterval = time.Minute
	r := newRig(t, cfg, next, testHost{storageID: storage}, someTime)
	require.NoError(t, r.state.log.Sync(context.Background()))
	before := storage.crash().data
	for i := range 100 {
		r.send(events(2, "e", fmt.Sprint(i)))
		r.pass(time.Second)
	}
	require.NoError(t, r.state.log.Sync(context.Background()))
	require.Equal(t, before, storage.crash().data)
	require.Equal(t, 200.0, next.weight())
	require.NoError(t, r.Shutdown(context.Background()))
}

// What a rule held that is no longer configured leaves at the next start.
func TestRuleRemovedFromTheConfiguration(t *testing.T) {
	storage, next := newMemory(), &sink{}
	old := dedupRule(time.Hour, emitFirstAndSummary)
	old.Name = "old"
	sampled := Rule{Name: "sampled", Match: MatchConfig{Events: []string{"s"}},
		Sampling: &SamplingConfig{Strategy: sampleReservoir, Size: 5, Window: time.Hour}}
	r := newRig(t, stored(sampled, old), next, testHost{storageID: storage}, someTime)
	r.send(events(5, "e", "k"))
	r.send(events(5, "s", "k"))
	require.NoError(t, r.Shutdown(context.Background()))
	for range 2 { // the second time it has left
		r = newRig(t, stored(dedupRule(time.Second, emitFirst)), next, testHost{storageID: storage}, r.now())
		r.step()
		require.Equal(t, 10.0, next.weight())
		require.NoError(t, r.Shutdown(context.Background()))
	}
}

func TestOneStorageInTwoPipelinesIsRefused(t *testing.T) {
	cfg := stored(dedupRule(time.Second, emitFirst))
	host := testHost{storageID: newMemory()}
	first, err := newProcessor(processortest.NewNopSettings(typ), cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, first.Start(context.Background(), host))
	second, err := newProcessor(processortest.NewNopSettings(typ), cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.ErrorContains(t, second.Start(context.Background(), host), "two pipelines")
	require.NoError(t, first.Shutdown(context.Background()))
	require.NoError(t, second.Shutdown(context.Background()))
}

func TestExtensionsThatAreMissingAreNamed(t *testing.T) {
	for key, set := range map[string]func(*Config){
		"storage": func(c *Config) { c.Storage = &storageID },
		"flags":   func(c *Config) { c.Flags = &flagsID },
		"control": func(c *Config) { c.Control = &controlID },
	} {
		cfg := config(dedupRule(time.Second, emitFirst))
		set(cfg)
		p, err := newProcessor(processortest.NewNopSettings(typ), cfg, consumertest.NewNop())
		require.NoError(t, err)
		require.ErrorContains(t, p.Start(context.Background(), componenttest.NewNopHost()), key+": extension")
		require.NoError(t, p.Shutdown(context.Background()))
	}
}
