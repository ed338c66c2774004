// Package runbook plays the users' operations runbook on the built binary, from preflight to report, with
// seconds for hours: real processes, real OTLP out, and each validation step checked at the backend.
package runbook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// Exit codes of the commands.
const (
	exitRefused   = 4
	exitUnhealthy = 6
)

func TestRunbook(t *testing.T) {
	p := begin(t)
	worker := exec.Command("sleep", "600")
	require.NoError(t, worker.Start())
	t.Cleanup(func() {
		_ = worker.Process.Kill()
		_ = worker.Wait()
	})

	p.prepare()
	p.stage1Monitoring()
	p.stage2Registry(worker)
	p.stage3ErrorContext()
	p.stage4aSpans()
	p.stage4bEvents()
	p.stage5Enforcement()
	p.tables()
	p.finalize()
	p.rollbacks()
	p.deaths(worker)
	p.report()
}

// prepare is the pre-migration checklist and the baseline.
func (p *person) prepare() {
	assert.Contains(p, p.do("preflight"), "flags are bound")
	assert.Contains(p, p.do("preflight", "--attest", "the team has been notified", "--author", "ann"), "attested by ann")
	p.refused(exitRefused, "baseline", "collect", "--duration", "1s") // fewer samples than the minimum
	p.do("baseline", "collect", "--duration", "3s", "--name", "before", "--reason", "runbook")
	b := read[operator.Baseline](p, "baseline", "show", "before")
	require.Equal(p, "complete", b.State)
	require.GreaterOrEqual(p, b.Samples, 10)
	assert.Contains(p, p.do("baseline", "list"), "before")
	assert.Contains(p, p.do("migrate", "rehearse", "--duration", "1s", "--reason", "checklist"), "passed")
}

// stage1Monitoring: a status event and metrics.
func (p *person) stage1Monitoring() {
	p.refused(exitRefused, "migrate", "advance", "--to", "2") // one at a time
	p.advance("1")
	p.record("foundation.migration.stage_enabled", has("migration.to", "1"))
	p.record("foundation.migration.status", has("migration.stage", "1"))
	require.Eventually(p, func() bool { return p.agent.Metric("otelcol_staged_migration_stages_on") == 1 }, patience, 100*time.Millisecond)
	assert.Contains(p, p.refused(exitRefused, "migrate", "advance"), "soak is over: observed for")
}

// stage2Registry: list, register, get, table info; before it, reads answer registry_disabled.
func (p *person) stage2Registry(worker *exec.Cmd) {
	p.refused(exitRefused, "registry", "get", "worker-1")
	p.advance("2")
	out := read[struct{ Token string }](p, "registry", "register", "worker-1", "--pid", fmt.Sprint(worker.Process.Pid), "--label", "zone=a", "--reason", "runbook")
	require.NotEmpty(p, out.Token)
	p.token = out.Token
	assert.Contains(p, p.do("registry", "get", "worker-1"), "worker-1")
	assert.Contains(p, p.do("registry", "list"), "worker-1")
	p.do("registry", "info")
	p.refused(exitRefused, "registry", "get", "nobody")
	for range 20 {
		p.do("registry", "get", "worker-1")
	}
	status := read[operator.MigrationStatus](p, "migrate", "status")
	require.Equal(p, "2", status.Stage)
}

// as calls the applications' door as worker-1, by its token.
func (p *person) as(path, body string) map[string]any {
	p.Helper()
	client := agenttest.UnixClient(p.agent.Socket())
	defer client.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodPost, "http://agent"+path, strings.NewReader(body))
	require.NoError(p, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Foundation-Agent-Token", p.token)
	resp, err := client.Do(req)
	require.NoError(p, err)
	defer resp.Body.Close()
	var answer map[string]any
	require.NoError(p, json.NewDecoder(resp.Body).Decode(&answer))
	require.Less(p, resp.StatusCode, http.StatusBadRequest, "%s %s: %v", path, body, answer)
	return answer
}

// stage3ErrorContext: set, nested, in logs.
func (p *person) stage3ErrorContext() {
	p.advance("3")
	// Contexts are calls of stage 4a's flag; until then a record gains what its span carries.
	p.as("/v1/events", `{"name":"plain.event","agent_id":"worker-1","process":"main"}`)
	p.record("plain.event", nil)
}

// stage4aSpans: start, end, true durations, no stack corruption; contexts nest.
func (p *person) stage4aSpans() {
	p.advance("4a")
	const who = `"agent_id":"worker-1","process":"main"`
	p.as("/v1/spans/start", `{`+who+`,"name":"outer"}`)
	p.as("/v1/context/set", `{`+who+`,"context":{"request_id":"r1","step":"one"}}`)
	p.as("/v1/spans/start", `{`+who+`,"name":"inner"}`)
	p.as("/v1/context/push", `{`+who+`,"context":{"step":"two"}}`)
	assert.Contains(p, p.do("context", "get", "worker-1", "main"), "r1")
	p.as("/v1/events", `{"name":"in.context","agent_id":"worker-1","process":"main"}`)
	r := p.record("in.context", nil)
	for key, want := range map[string]string{"error_context.request_id": "r1", "error_context.step": "two"} {
		v, ok := r.Attributes().Get(key)
		require.True(p, ok, "%s of %v", key, r.Attributes().AsRaw())
		assert.Equal(p, want, v.AsString())
	}
	list := p.do("spans", "list", "--agent", "worker-1")
	assert.Contains(p, list, "inner")
	assert.Contains(p, list, "outer")
	time.Sleep(100 * time.Millisecond) // a duration to be seen
	p.as("/v1/spans/end", `{`+who+`}`)
	p.as("/v1/spans/end", `{`+who+`}`)
	spans := p.backend.WaitSpans("both spans", func(s []agenttest.Span) bool { return len(s) >= 2 })
	byName := map[string]agenttest.Span{}
	for _, s := range spans {
		byName[s.Name()] = s
	}
	inner, outer := byName["inner"], byName["outer"]
	assert.Equal(p, outer.SpanID(), inner.ParentSpanID())
	assert.Equal(p, outer.TraceID(), inner.TraceID())
	for _, s := range []agenttest.Span{inner, outer} {
		took := time.Duration(s.EndTimestamp() - s.StartTimestamp())
		assert.GreaterOrEqual(p, took, 100*time.Millisecond)
		assert.Less(p, took, patience)
	}
}

// stage4bEvents: dedup_key, throughput, no duplicates, nothing lost of the count.
func (p *person) stage4bEvents() {
	p.advance("4b")
	const count = 1000
	p.do("events", "emit", "test.event", "--dedup-key", "k", "--count", fmt.Sprint(count), "--measurement", "count=1")
	p.backend.WaitLogs("the account", func(records []agenttest.LogRecord) bool {
		weight, left := 0.0, 0
		for _, r := range records {
			if r.EventName() != "test.event" {
				continue
			}
			left++
			one := 1.0
			if v, ok := r.Attributes().Get("sampling.adjusted_count"); ok {
				one = v.Double() + float64(v.Int())
			}
			weight += one
		}
		return weight == count && left < 10
	})
}

// stage5Enforcement: first audit, which names the sender; then strict; zero violations; benchmark.
func (p *person) stage5Enforcement() {
	const legacy = `{"name":"old.path","agent_id":"worker-1","metadata":{"foundation.legacy":true}}`
	p.as("/v1/events", legacy)
	p.record("old.path", has("foundation.violation", "legacy"))
	assert.Contains(p, p.refused(exitUnhealthy, "migrate", "verify"), "worker-1 sends legacy records")
	assert.Contains(p, p.do("migrate", "preview", "--for", "100ms"), "would refuse what it has counted: 1 records of 1 senders")
	p.advance("5") // once the violations have ceased
	status, answer := p.agent.Post("/v1/events", "application/x-ndjson", `{"name":"old.path","metadata":{"foundation.legacy":true}}`+"\n"+`{"name":"new.path"}`)
	require.Equal(p, http.StatusAccepted, status)
	assert.Contains(p, answer, `"accepted":1,"rejected":1`)
	p.record("new.path", nil)
	require.Eventually(p, func() bool { _, code := p.run("migrate", "verify"); return code == 0 }, patience, 200*time.Millisecond)
	assert.Contains(p, p.do("baseline", "compare", "before"), "agent_memory")
	page := filepath.Join(p.TempDir(), "diagnostics.html")
	p.do("diagnostics", "run", "--html", page)
	require.FileExists(p, page)
}

// tables: info, backup, rebuild, cleanup, ensure, restore.
func (p *person) tables() {
	assert.Contains(p, p.do("tables", "info"), "event_dedup/keys")
	file := filepath.Join(p.TempDir(), "tables.backup")
	p.do("tables", "backup", file)
	p.do("tables", "rebuild", "event_dedup/keys")
	p.do("tables", "cleanup", "event_dedup/keys")
	p.do("tables", "ensure", "event_dedup/keys")
	p.do("tables", "restore", file)
}

// finalize: the change that it prints applies, and what it makes is a configuration that is valid.
func (p *person) finalize() {
	dir := configs(p.T)
	args := []string{"migrate", "finalize", "--config", filepath.Join(dir, "config", "agent.yaml"), "--config", filepath.Join(dir, "config", "stages.yaml")}
	require.Eventually(p, func() bool { _, code := p.run(args...); return code == 0 }, patience, 200*time.Millisecond)
	cmd := exec.Command(agenttest.Binary(p), args...)
	cmd.Env = append(os.Environ(), "FOUNDATION_STATE_DIR="+p.agent.StateDir)
	diff, err := cmd.Output()
	require.NoError(p, err)
	p.Logf("$ foundation-agent migrate finalize\n%s", diff)
	assert.Contains(p, string(diff), "-  staged_migration:")
	patch := exec.Command("git", "apply", "--unsafe-paths", "-p1", "--directory=/", "-")
	patch.Dir, patch.Stdin = "/", strings.NewReader(string(diff))
	out, err := patch.CombinedOutput()
	require.NoError(p, err, string(out))
	after, err := os.ReadFile(args[5])
	require.NoError(p, err)
	require.NotContains(p, string(after), "\n  staged_migration:")
	validate := exec.Command(agenttest.Binary(p), "validate", "--config", args[3], "--config", args[5])
	validate.Dir = agenttest.Root()
	out, err = validate.CombinedOutput()
	require.NoError(p, err, string(out))
}

// rollbacks: selective, then everything, verified.
func (p *person) rollbacks() {
	p.do("migrate", "rollback", "--to", "3", "--reason", "runbook: selective")
	s := read[operator.MigrationStatus](p, "migrate", "status")
	require.Equal(p, "3", s.Stage)
	require.True(p, s.Flags["use_logger_error_context"])
	require.False(p, s.Flags["use_ets_sampled_events"])
	assert.Contains(p, p.refused(exitRefused, "migrate", "advance", "--force", "--reason", "hurry"), "no rollback lately")
	p.do("flags", "disable", "use_logger_error_context", "--reason", "runbook: selective")
	begun := time.Now()
	p.do("migrate", "emergency-rollback", "--reason", "runbook", "--approved-by", "bob")
	p.Logf("the emergency rollback took %s, the command's start included", time.Since(begun))
	for name, on := range read[operator.MigrationStatus](p, "migrate", "status").Flags {
		require.False(p, on, name)
	}
	p.record("foundation.migration.emergency_rollback", nil)
}

// deaths: an agent that dies is told of with the reason.
func (p *person) deaths(worker *exec.Cmd) {
	require.NoError(p, worker.Process.Kill())
	_ = worker.Wait()
	p.record("foundation.agent.down", nil)
}

// report: what happened, as text, JSON and a page.
func (p *person) report() {
	page := filepath.Join(p.TempDir(), "report.html")
	out := p.do("migrate", "report", "--from", "1h", "--html", page)
	for _, word := range []string{"advance", "rollback", "emergency_rollback", "rehearsal", "approved by bob"} {
		assert.Contains(p, out, word)
	}
	html, err := os.ReadFile(page)
	require.NoError(p, err)
	assert.Contains(p, string(html), "Migration report")
	r := read[operator.MigrationReport](p, "migrate", "report", "--from", "1h")
	assert.GreaterOrEqual(p, len(r.Stages), 8)
	assert.Contains(p, p.do("migrate", "history"), "emergency_rollback")
}
