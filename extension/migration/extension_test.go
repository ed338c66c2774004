package migration

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// self is the configuration that reads the agent's own metrics from a service of the test's.
func self(s *service) string {
	return fmt.Sprintf("sources: {self: {type: self, endpoint: %q}}\n", s.URL)
}

// ongoing calls say each 50 ms with a number that grows, until the test ends: traffic.
func ongoing(t *testing.T, say func(i int)) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 1; ; i++ {
			say(i)
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

// requireRollback sees that a bad signal rolls the stage back, with the numbers in history and event.
func requireRollback(t *testing.T, a *agent, makeBad func()) {
	t.Helper()
	a.advance()
	a.advance()
	a.until("the signal is good", func(s operator.MigrationStatus) bool { return criterionOf(s).State == "ok" })
	makeBad()
	s := a.until("the stage is rolled back", func(s operator.MigrationStatus) bool { return s.Stage == "1" })
	assert.False(t, s.Flags["use_ets_agent_registry"])
	e := a.event(eventRollback)
	criteria := e.Attributes["migration.criteria"].([]any)
	require.Len(t, criteria, 1)
	assert.Greater(t, criteria[0].(map[string]any)["value"], criteria[0].(map[string]any)["limit"])
	var h operator.MigrationHistory
	require.Nil(t, a.call(http.MethodGet, "/v1/migration/history", nil, &h))
	last := h.Entries[len(h.Entries)-1]
	assert.Equal(t, kindRollback, last.Kind)
	assert.Equal(t, itself, last.Author)
	require.Len(t, last.Criteria, 1)
}

func criterionOf(s operator.MigrationStatus) operator.MigrationCriterion {
	for _, c := range s.Criteria {
		if c.Name == "signal" {
			return c
		}
	}
	return operator.MigrationCriterion{}
}

const lookupP99 = base + `
signals: {p99: {metric: otelcol_agent_registry_operation_duration, labels: {operation: get}, stat: p99, unit: s, window: 1s}}
criteria: {signal: {signal: p99, threshold: "< 10ms", for: 300ms}}
`

// lookups of a registry: n fast ones and slow ones.
func lookups(fast, slow int) string {
	return fmt.Sprintf(`# TYPE otelcol_agent_registry_operation_duration_seconds histogram
otelcol_agent_registry_operation_duration_seconds_bucket{operation="get",le="0.001"} %d
otelcol_agent_registry_operation_duration_seconds_bucket{operation="get",le="0.01"} %d
otelcol_agent_registry_operation_duration_seconds_bucket{operation="get",le="0.1"} %d
otelcol_agent_registry_operation_duration_seconds_bucket{operation="get",le="+Inf"} %d
otelcol_agent_registry_operation_duration_seconds_sum{operation="get"} 1
otelcol_agent_registry_operation_duration_seconds_count{operation="get"} %d
`, fast, fast, fast+slow, fast+slow, fast+slow)
}

func TestRegistryP99RollsBack(t *testing.T) {
	s := startService(t, "")
	bad := make(chan struct{})
	fast, slow := 0, 0
	ongoing(t, func(int) {
		fast += 100
		select {
		case <-bad:
			slow += 50
		default:
		}
		s.say(lookups(fast, slow))
	})
	a := startAgent(t, t.TempDir(), lookupP99, self(s))
	requireRollback(t, a, func() { close(bad) })
}

func TestBriefTroubleIsForgiven(t *testing.T) {
	s := startService(t, lookups(0, 0))
	a := startAgent(t, t.TempDir(), base, self(s), `
signals: {gauge: {metric: trouble, unit: "1"}}
criteria: {signal: {signal: gauge, threshold: "< 10", for: 10s}}
`)
	s.say("trouble 1\n")
	a.advance()
	a.advance()
	a.until("good", func(s operator.MigrationStatus) bool { return criterionOf(s).State == "ok" })
	s.say("trouble 11\n")
	a.until("pending", func(s operator.MigrationStatus) bool { return criterionOf(s).State == "pending" })
	s.say("trouble 1\n")
	got := a.until("good again", func(s operator.MigrationStatus) bool { return criterionOf(s).State == "ok" })
	assert.Equal(t, "2", got.Stage)
	assert.Equal(t, kindAdvance, got.LastChange.Kind)
}

func TestErrorRateAgainstTheBaselineRollsBack(t *testing.T) {
	s := startService(t, "")
	bad := make(chan struct{})
	errors := 0
	ongoing(t, func(int) {
		errors++
		select {
		case <-bad:
			errors += 2
		default:
		}
		s.say(fmt.Sprintf("# TYPE otelcol_span_lifecycle_errors_total counter\notelcol_span_lifecycle_errors_total %d\n", errors))
	})
	a := startAgent(t, t.TempDir(), base, self(s), `
signals: {errors: {metric: otelcol_span_lifecycle_errors, stat: rate, unit: "{record}/s", window: 1s}}
criteria: {signal: {signal: errors, threshold: "+100 %", at_least: "1", for: 300ms}}
`)
	require.Nil(t, a.call(http.MethodPost, "/v1/baseline", map[string]any{"name": "before", "seconds": 1}, nil))
	a.until("the baseline is complete", func(s operator.MigrationStatus) bool { return s.Baseline == "before" })
	requireRollback(t, a, func() { close(bad) })
}

func TestTableMemoryRollsBack(t *testing.T) {
	s := startService(t, "otelcol_open_spans_bytes 1e6\n")
	a := startAgent(t, t.TempDir(), base, self(s), `
signals: {bytes: {metric: otelcol_open_spans_bytes, unit: By}}
criteria: {signal: {signal: bytes, threshold: "< 500MB", for: 300ms}}
`)
	requireRollback(t, a, func() { s.say("otelcol_open_spans_bytes 5.1e8\n") })
}

func TestProcessCountOfVitalsRollsBack(t *testing.T) {
	s := startService(t, "up 1\n")
	a := startAgent(t, t.TempDir(), base, self(s), `
signals: {count: {source: vitals, metric: process_count, unit: "{process}"}}
criteria: {signal: {signal: count, threshold: "+50 %", for: 300ms}}
`)
	a.vitals(map[string]float64{"process_count": 100})
	require.Nil(t, a.call(http.MethodPost, "/v1/baseline", map[string]any{"seconds": 1}, nil))
	a.until("the baseline is complete", func(s operator.MigrationStatus) bool { return s.Baseline != "" })
	requireRollback(t, a, func() { a.vitals(map[string]float64{"process_count": 151}) })
}

// Against a real Prometheus server that scrapes a real endpoint.
func TestPromQLRollsBack(t *testing.T) {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed: `make test-tools` installs it")
	}
	s := startService(t, "trouble 1\n")
	dir := t.TempDir()
	config := fmt.Sprintf("scrape_configs: [{job_name: x, scrape_interval: 200ms, scrape_timeout: 200ms, metrics_path: /, static_configs: [{targets: [%q]}]}]", s.Listener.Addr())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	cmd := exec.Command(path, "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	a := startAgent(t, t.TempDir(), base, self(s), fmt.Sprintf(`
sources: {prometheus: {type: promql, endpoint: "http://%s"}}
signals: {query: {source: prometheus, query: "max(trouble) * 2", unit: "1"}}
criteria: {signal: {signal: query, threshold: "< 10", for: 300ms}}
`, address))
	requireRollback(t, a, func() { s.say("trouble 7\n") })
}

func TestRestartGoesOn(t *testing.T) {
	dir := t.TempDir()
	s := startService(t, "up 1\n")
	config := []string{base, self(s), `
signals: {gauge: {metric: up, unit: "1"}}
criteria: {signal: {signal: gauge, threshold: "> 0"}}
`}
	a := startAgent(t, dir, config...)
	a.advance()
	a.advance()
	a.advance()
	soaked := a.until("soaking", func(s operator.MigrationStatus) bool { return s.Soak.Samples > 1 })
	a.stop()
	a = startAgent(t, dir, config...)
	got := a.status()
	assert.Equal(t, "3", got.Stage)
	assert.GreaterOrEqual(t, got.Soak.Observed, soaked.Soak.Observed)
	assert.True(t, got.Flags["use_ets_sampled_events"])
	var f operator.Finalize
	require.Eventually(t, func() bool {
		require.Nil(t, a.call(http.MethodGet, "/v1/migration/finalize", nil, &f))
		return f.Ready
	}, patience, 20*time.Millisecond)
	assert.Equal(t, "feature_flags", f.FlagsID)
}

func TestRefusals(t *testing.T) {
	s := startService(t, "up 1\n")
	a := startAgent(t, t.TempDir(), base, self(s), `
cooldown: 1h
signals: {gauge: {metric: up, unit: "1"}}
criteria: {signal: {signal: gauge, threshold: "> 0"}}
stages:
  - {id: "1", name: monitoring, flags: [enable_migration_monitoring], soak: 1h}
  - {id: "2", name: registry, flags: [use_ets_agent_registry], guard: [signal]}
  - {id: "3", name: loose, flags: [use_logger_error_context]}
`)
	post := func(verb string, body any) *door.Error {
		refused := a.call(http.MethodPost, "/v1/migration/"+verb, body, nil)
		require.NotNil(t, refused, "%s %v", verb, body)
		return refused
	}
	assert.Equal(t, "no_stage", post("rollback", nil).Code)
	assert.Equal(t, "not_next", post("advance", map[string]any{"to": "2"}).Code)
	a.advance()
	refused := post("advance", nil)
	assert.Equal(t, "preflight_failed", refused.Code)
	assert.Contains(t, refused.Message, "soak is over: observed for")
	assert.Contains(t, refused.Message, "--force")
	a.until("good", func(s operator.MigrationStatus) bool { return criterionOf(s).State == "ok" })
	require.Nil(t, a.call(http.MethodPost, "/v1/migration/advance", map[string]any{"force": true}, nil))
	assert.Contains(t, post("advance", map[string]any{"force": true}).Message, "no component reads use_logger_error_context", "force skips no correctness")
	assert.Equal(t, "unknown_stage", post("rollback", map[string]any{"to": "9"}).Code)
	assert.Equal(t, "not_earlier", post("rollback", map[string]any{"to": "3"}).Code)
	require.Nil(t, a.call(http.MethodPost, "/v1/migration/rollback", map[string]any{"to": "none"}, nil))
	assert.Contains(t, post("advance", map[string]any{"force": true}).Message, "no rollback lately")
	assert.Equal(t, "invalid_body", post("advance", map[string]any{"now": true}).Code)
	assert.Equal(t, "no_control", post("verify", nil).Code)
	assert.Equal(t, "unknown_item", post("attest", map[string]any{"item": "x"}).Code)
	require.Nil(t, a.call(http.MethodPost, "/v1/migration/attest", map[string]any{"item": "the team has been notified"}, nil))
}

func TestStatusEventsWhileMonitored(t *testing.T) {
	s := startService(t, "up 1\n")
	a := startAgent(t, t.TempDir(), base, self(s), "signals: {gauge: {metric: up, unit: \"1\"}}\ncriteria: {signal: {signal: gauge, threshold: \"> 0\"}}")
	a.advance()
	assert.Equal(t, "1", a.event(eventEnabled).Attributes["migration.to"])
	// The first may come between the flag, which starts them, and the stage's own record.
	for a.event(eventStatus).Attributes["migration.stage"] != "1" {
	}
}

func TestRehearsal(t *testing.T) {
	in := 0
	s := startService(t, "")
	ongoing(t, func(int) {
		in += 10
		s.say(fmt.Sprintf("otelcol_event_dedup_in %d\notelcol_event_dedup_out %d\notelcol_event_dedup_held 5\n", in, in-5))
	})
	a := startAgent(t, t.TempDir(), base, self(s), "signals: {gauge: {metric: up, unit: \"1\"}}\ncriteria: {signal: {signal: gauge, threshold: \"> 0\"}}")
	require.Nil(t, a.call(http.MethodPost, "/v1/migration/rehearse", map[string]any{"seconds": 0.3}, nil))
	assert.Equal(t, "under_way", a.call(http.MethodPost, "/v1/migration/advance", nil, nil).Code)
	got := a.until("the rehearsal is over", func(s operator.MigrationStatus) bool { return s.Rehearsal.State != rehearsalRunning })
	assert.Equal(t, rehearsalPassed, got.Rehearsal.State, got.Rehearsal.Steps)
	assert.Equal(t, "none", got.Stage)
	assert.False(t, got.Flags["enable_migration_monitoring"])

	var h operator.MigrationHistory
	require.Eventually(t, func() bool {
		require.Nil(t, a.call(http.MethodGet, "/v1/migration/history", nil, &h))
		return len(h.Entries) == 1
	}, patience, 10*time.Millisecond)
	assert.Equal(t, kindRehearsal, h.Entries[0].Kind)

	require.Nil(t, a.call(http.MethodPost, "/v1/migration/rehearse", map[string]any{"seconds": 60}, nil))
	require.Nil(t, a.call(http.MethodPost, "/v1/migration/emergency-rollback", nil, nil))
	got = a.until("it ends at once", func(s operator.MigrationStatus) bool { return s.Rehearsal.State == rehearsalFailed })
	assert.False(t, got.Flags["enable_migration_monitoring"])
}
