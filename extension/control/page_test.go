package control

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

const hostile = `<img src=x onerror=alert(1)>`

// shownState is what the extensions behind the page answer; a test may change it.
type shownState struct{ flagOn atomic.Bool }

func (s *shownState) routes() []operator.Route {
	answer := func(pattern string, body func() any) operator.Route {
		return operator.Route{Pattern: pattern, Handler: func(w http.ResponseWriter, _ *http.Request) { door.WriteJSON(w, http.StatusOK, body()) }}
	}
	value, soak := 0.003, operator.MigrationSoak{Observed: 7200, Required: 86400, Paused: "no sample for a minute"}
	return []operator.Route{
		answer("GET /v1/flags", func() any {
			return map[string]any{"flags": []operator.Flag{
				{Name: "use_ets_agent_registry", Value: s.flagOn.Load(), FileValue: false, Bound: true,
					Override: &operator.FlagOverride{Kind: "value", Author: "ann (uid=0)", Reason: hostile, MasksFile: true}},
				{Name: hostile, Value: hostile},
			}}
		}),
		answer("GET /v1/agents", func() any {
			return map[string]any{"agents": []agents.Agent{
				{ID: "worker-1", State: agents.StateUp, Health: agents.HealthHealthy, PID: 42, Endpoint: "127.0.0.1:80", RegisteredAt: time.Unix(1e9, 0)},
				{ID: hostile, State: agents.StateUnresponsive},
			}, "total": 2}
		}),
		answer("GET /v1/spans", func() any {
			return operator.OpenSpans{Total: 1000, Spans: []operator.OpenSpan{{Name: "checkout", AgentID: "worker-1", TraceID: "0af7", SpanID: "b7ad", StartedAt: time.Unix(1e9, 0)}}}
		}),
		answer("GET /v1/migration", func() any {
			return operator.MigrationStatus{
				Stage: "2", Next: "3", Soak: soak, Durable: true, Alerts: []string{"soak stalled: run `foundation-agent migrate status`"},
				Stages:   []operator.MigrationStage{{ID: "1", Name: "monitoring", State: "on", SoakRequired: 14400, Flags: []string{"enable_migration_monitoring"}}, {ID: "2", Name: "registry", State: "partly"}},
				Criteria: []operator.MigrationCriterion{{Name: "registry_p99", State: "ok", Value: &value, Unit: "s", Threshold: "< 5ms", Action: "rollback", Since: time.Unix(1e9, 0)}},
			}
		}),
		answer("GET /v1/migration/history", func() any {
			return map[string]any{"entries": []operator.MigrationEntry{{Kind: "advance", From: "1", To: "2", Author: "ann", At: time.Unix(1e9, 0)}}}
		}),
	}
}

// startPage starts control with a status page, and returns the page's URL.
func startPage(t *testing.T, state *shownState) (c *control, url string) {
	cfg := testConfig(t)
	cfg.StatusPage.GetOrInsertDefault().NetAddr.Endpoint = "127.0.0.1:0"
	c = startControl(t, cfg, state.routes())
	t.Cleanup(c.RegisterTable(&textTable{name: "event_dedup/keys", content: "alpha"}))
	return c, "http://" + c.servers[len(c.servers)-1].listener.Addr().String()
}

// plain is a client without connections that outlive the test.
func plain(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestPageShowsTheAgent(t *testing.T) {
	c, url := startPage(t, &shownState{})
	c.sampler.sample(t.Context(), time.Now())
	status, page := do(t, plain(t), http.MethodGet, url+"/")
	require.Equal(t, http.StatusOK, status)
	for _, want := range []string{
		"worker-1", "checkout", "The first 1 of 1000.", "registry_p99", "&lt; 5ms", "advance", "monitoring",
		"event_dedup/keys", "soak stalled", "no sample for a minute", "3ms", "ann (uid=0)",
	} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, hostile)
	require.NotContains(t, page, "ZgotmplZ")
}

func TestPageIsReadOnly(t *testing.T) {
	_, url := startPage(t, &shownState{})
	for _, path := range []string{"/", "/live", "/v1/flags/x/enable", "/v1/tables/backup"} {
		status, _ := do(t, plain(t), http.MethodPost, url+path)
		require.Contains(t, []int{http.StatusMethodNotAllowed, http.StatusNotFound}, status, path)
	}
}

func TestPageRefusesOtherNames(t *testing.T) {
	_, url := startPage(t, &shownState{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/", nil)
	require.NoError(t, err)
	req.Host = "evil.example"
	resp, err := plain(t).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
}

func TestLiveSendsWhatChanges(t *testing.T) {
	state := &shownState{}
	_, url := startPage(t, state)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/live", nil)
	require.NoError(t, err)
	resp, err := plain(t).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	next := func(id string) string {
		for lines.Scan() {
			var e sectionEvent
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if ok && json.Unmarshal([]byte(data), &e) == nil && e.ID == id {
				return e.HTML
			}
		}
		t.Fatal("the stream ended")
		return ""
	}
	require.Contains(t, next("flags"), ">false<")
	state.flagOn.Store(true)
	require.Contains(t, next("flags"), ">true<")
}
