package migration

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/guard"
	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
)

// scripted is a sampler whose next sample a test says.
type scripted struct {
	values   map[string]guard.Value
	errors   map[string]error
	versions []string
	restarts int
}

func (s *scripted) Sample(_ context.Context, now time.Time) signal.Sample {
	return signal.Sample{At: now, Values: s.values, Errors: s.errors, Versions: s.versions}
}

func (s *scripted) Restart() { s.restarts++ }

// fixed is a reference that knows one number of every signal.
type fixed float64

func (f fixed) Reference(string, time.Time) (float64, bool) { return float64(f), f != 0 }

// watched is a rollout of three stages under a watch with a clock of the test's.
type watched struct {
	life
	*watch
	sampler *scripted
	clock   time.Time
	t       *testing.T
}

const interval = 10 * time.Second

func startWatch(t *testing.T, criteria map[string]CriterionConfig, ref reference) *watched {
	cfg := createDefaultConfig().(*Config)
	cfg.Interval, cfg.AlertAfter = interval, time.Minute
	cfg.Signals = map[string]SignalConfig{"latency": {Metric: "latency", Unit: "s"}, "errors": {Source: "service", Metric: "errors", Unit: "1"}}
	cfg.Criteria = criteria
	all := append(stages(nil), lettered...)
	for name := range criteria {
		all[0].Guard = append([]string(nil), name)
	}
	all[0].Soak, all[1].Soak, all[2].PreviousSoak = time.Minute, time.Minute, 2*time.Minute
	l := begin(t, newDisk())
	t.Cleanup(l.end)
	l.stages = all
	list, err := newCriteria(cfg)
	require.NoError(t, err)
	w := &watched{life: l, sampler: &scripted{versions: []string{"1"}}, clock: time.Unix(1e9, 0), t: t}
	w.values(0.001)
	w.watch = &watch{
		cfg: cfg, logger: zap.NewNop(), sampler: w.sampler, rollout: l.rollout, reference: ref,
		versions: func() []string { return nil }, now: func() time.Time { return w.clock }, criteria: list, alerts: newAlerts(),
	}
	require.NoError(t, w.do("advance", 0))
	require.NoError(t, w.do("advance", 0))
	w.ticks(1) // the first sample after a change
	return w
}

func (w *watched) values(latency float64) {
	w.sampler.values = map[string]guard.Value{"latency": guard.Known(latency), "errors": guard.Known(0)}
}

func (w *watched) ticks(n int) {
	for range n {
		w.clock = w.clock.Add(interval)
		w.tick(w.t.Context())
	}
}

func (w *watched) soaked() time.Duration { return w.snapshot().Soak.Observed }

var latencyBelow5ms = map[string]CriterionConfig{"latency": {Signal: "latency", Threshold: "< 5ms", For: 20 * time.Second}}

func TestBreachRollsBackOneStage(t *testing.T) {
	w := startWatch(t, latencyBelow5ms, fixed(0))
	w.ticks(5)
	w.values(0.006)
	w.ticks(2)
	assert.Equal(t, "2", w.snapshot().Stage, "pending")
	w.ticks(1)
	assert.Equal(t, "1", w.snapshot().Stage)
	w.whole(t)
	e := w.lastEntry()
	assert.Equal(t, kindRollback, e.Kind)
	require.Len(t, e.Criteria, 1)
	assert.InDelta(t, 0.006, *e.Criteria[0].Value, 1e-9)
	assert.InDelta(t, 0.005, *e.Criteria[0].Limit, 1e-9)
	assert.Contains(t, e.Reason, "latency is 0.006 s, the limit is 0.005 (< 5ms)")
	w.ticks(1)
	assert.Equal(t, "1", w.snapshot().Stage, "the stage before is judged by what is seen while it is on")
	assert.Equal(t, 2, w.sampler.restarts)
	w.ticks(2)
	assert.Equal(t, noStage, w.snapshot().Stage, "and goes when it is bad too")
}

func TestBriefTroubleRollsNothingBack(t *testing.T) {
	w := startWatch(t, latencyBelow5ms, fixed(0))
	for range 10 {
		w.values(0.006)
		w.ticks(2)
		w.values(0.001)
		w.ticks(1)
	}
	assert.Equal(t, "2", w.snapshot().Stage)
}

func TestBreachRollsEverythingBack(t *testing.T) {
	w := startWatch(t, map[string]CriterionConfig{"latency": {Signal: "latency", Threshold: "+20 %", Action: ActionRollbackAll}}, fixed(0.001))
	w.values(0.00121)
	w.ticks(1)
	assert.Equal(t, noStage, w.snapshot().Stage)
	e := w.lastEntry()
	assert.InDelta(t, 0.001, *e.Criteria[0].Baseline, 1e-9)
	assert.InDelta(t, 0.0012, *e.Criteria[0].Limit, 1e-9)
}

func TestAlertDoesNotRollBack(t *testing.T) {
	w := startWatch(t, map[string]CriterionConfig{"latency": {Signal: "latency", Threshold: "< 5ms", Action: ActionAlert}}, fixed(0))
	w.values(0.006)
	w.ticks(3)
	assert.Equal(t, "2", w.snapshot().Stage)
	assert.Equal(t, kindAlert, w.lastEntry().Kind)
	assert.Len(t, w.entries(time.Time{}, time.Now().Add(time.Hour)), 3, "told once")
	failing, unseen := w.failing(2)
	require.Len(t, failing, 1)
	assert.False(t, unseen, "--force does not skip it")
}

func TestNoBaselineNoVerdict(t *testing.T) {
	w := startWatch(t, map[string]CriterionConfig{"latency": {Signal: "latency", Threshold: "+20 %", For: time.Minute}}, fixed(0))
	w.ticks(10)
	assert.Equal(t, "2", w.snapshot().Stage)
	v := w.views()[0]
	assert.Equal(t, "missing", v.State)
	assert.Contains(t, v.Reason, "no baseline")
	_, unseen := w.failing(2)
	assert.True(t, unseen)
}

func TestSoakCountsObservedTimeAlone(t *testing.T) {
	w := startWatch(t, latencyBelow5ms, fixed(0))
	assert.Zero(t, w.soaked())
	w.ticks(3)
	assert.Equal(t, 3*interval, w.soaked())

	w.sampler.errors = map[string]error{"self": errors.New("down")}
	w.ticks(3)
	assert.Equal(t, 3*interval, w.soaked(), "blind")
	_, paused := w.seen()
	assert.Contains(t, paused, "self cannot be read: down")
	w.sampler.errors = nil

	w.clock = w.clock.Add(time.Hour)
	w.ticks(1)
	assert.Equal(t, 3*interval, w.soaked(), "nobody looked for an hour")
	w.ticks(1)
	assert.Equal(t, 4*interval, w.soaked())

	w.clock = w.clock.Add(-24 * time.Hour) // a clock that only goes forward does not; a step is no time
	w.ticks(1)
	assert.Equal(t, 4*interval, w.soaked())

	w.values(0.006)
	w.ticks(1)
	assert.Equal(t, 4*interval, w.soaked(), "a criterion is pending")
}

func TestAnotherVersionRestartsTheSoak(t *testing.T) {
	w := startWatch(t, latencyBelow5ms, fixed(0))
	w.ticks(3)
	w.sampler.versions = []string{"2"}
	w.ticks(1)
	assert.Zero(t, w.soaked())
	e := w.lastEntry()
	assert.Equal(t, kindRestart, e.Kind)
	assert.Equal(t, "from 1 to 2", e.Message)
	w.ticks(2)
	assert.Equal(t, 2*interval, w.soaked())
	w.sampler.versions, w.sampler.errors = nil, map[string]error{"other": errors.New("down")}
	w.ticks(1)
	assert.Equal(t, 3*interval, w.soaked(), "a source that is away is no other version")
}

func TestSoakSurvivesARestart(t *testing.T) {
	w := startWatch(t, latencyBelow5ms, fixed(0))
	w.ticks(3)
	w.end()
	again := begin(t, w.flags.disk)
	defer again.end()
	assert.Equal(t, 3*interval, again.snapshot().Soak.Observed)
	assert.Equal(t, []string{"1"}, again.snapshot().Soak.Versions)
}

func TestBlindAndStalledAreTold(t *testing.T) {
	w := startWatch(t, latencyBelow5ms, fixed(0))
	w.sampler.errors = map[string]error{"self": errors.New("down")}
	w.sampler.values = map[string]guard.Value{"latency": guard.Unknown("down")}
	w.ticks(5)
	assert.Empty(t, w.alerts.list())
	w.ticks(1)
	require.Len(t, w.alerts.list(), 2)
	assert.Contains(t, w.alerts.list()[0], "guard_blind: source self: down; see which source")
	assert.Contains(t, w.alerts.list()[1], "soak_stalled")
	assert.Equal(t, "2", w.snapshot().Stage, "blindness alone rolls nothing back")
	entries := len(w.entries(time.Time{}, time.Now().Add(time.Hour)))
	w.ticks(5)
	assert.Len(t, w.entries(time.Time{}, time.Now().Add(time.Hour)), entries, "told once")
	w.sampler.errors = nil
	w.values(0.001)
	w.ticks(1)
	assert.Empty(t, w.alerts.list())
}

func TestDriftPausesAndIsTold(t *testing.T) {
	w := startWatch(t, latencyBelow5ms, fixed(0))
	_, err := w.flags.SetAll(map[string]bool{"b": false}, someone)
	require.NoError(t, err)
	w.ticks(2)
	assert.Zero(t, w.soaked())
	require.Len(t, w.alerts.list(), 1)
	assert.Contains(t, w.alerts.list()[0], "flags_drifted: b")
}

// A guard whose rollback the flags refuse takes everything back.
func TestRefusedRollbackBecomesAnEmergency(t *testing.T) {
	w := startWatch(t, latencyBelow5ms, fixed(0))
	w.watch.rollout.flags = refusing{w.flags}
	w.values(0.006)
	w.ticks(3)
	assert.Equal(t, noStage, w.snapshot().Stage)
	assert.Equal(t, kindEmergency, w.lastEntry().Kind)
}

// What is under way gives way to the guard.
func TestGuardEndsWhatIsUnderWay(t *testing.T) {
	w := startWatch(t, latencyBelow5ms, fixed(0))
	ctx, done, err := w.take(t.Context(), "a rehearsal")
	require.NoError(t, err)
	go func() { <-ctx.Done(); done() }()
	w.values(0.006)
	w.ticks(3)
	assert.Equal(t, "1", w.snapshot().Stage)
}
