package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/internal/attr"
)

// exportTo is an overlay of the default configuration that exports to backend, with a window short enough to
// see its end.
func exportTo(t *testing.T, backend *agenttest.Backend, window time.Duration) []string {
	t.Helper()
	overlay := filepath.Join(t.TempDir(), "export.yaml")
	require.NoError(t, os.WriteFile(overlay, []byte(fmt.Sprintf(`
exporters:
  %s
processors:
  event_dedup:
    rules: [{name: events, match: {events: ["*"]}, dedup: {window: %s, emit: first_and_summary}, caller: true}]
service:
  pipelines:
    logs: {exporters: [otlp]}
    traces: {exporters: [otlp]}
`, backend.Exporter(), window)), 0o600))
	return []string{"--config", overlay}
}

// emitEqual sends n equal events in requests of 1,000.
func emitEqual(t *testing.T, a *agenttest.Agent, n int) {
	t.Helper()
	line := `{"name":["test","event"],"measurements":{"count":1,"latency":2.5},"metadata":{"dedup_key":"k"}}` + "\n"
	for sent := 0; sent < n; sent += 1000 {
		status, answer := a.Post("/v1/events", "application/x-ndjson", strings.Repeat(line, min(1000, n-sent)))
		require.Equal(t, http.StatusAccepted, status, answer)
	}
}

// events are the records of one event name, split into what passed as it came and summaries.
func events(records []agenttest.LogRecord, name string) (passed, summaries []agenttest.LogRecord) {
	for _, r := range records {
		if r.EventName() != name {
			continue
		}
		if _, ok := r.Attributes().Get(attr.Summary); ok {
			summaries = append(summaries, r)
		} else {
			passed = append(passed, r)
		}
	}
	return passed, summaries
}

// weight is how many events a record stands for.
func weight(r agenttest.LogRecord) float64 {
	v, ok := r.Attributes().Get(attr.AdjustedCount)
	if !ok {
		return 1
	}
	return number(v)
}

func requireOneFirstOneSummary(t *testing.T, backend *agenttest.Backend, n int64) {
	t.Helper()
	records := backend.WaitLogs("a summary", func(rs []agenttest.LogRecord) bool {
		_, summaries := events(rs, "test.event")
		return len(summaries) > 0
	})
	passed, summaries := events(records, "test.event")
	require.Len(t, passed, 1)
	require.Len(t, summaries, 1)
	summary := summaries[0].Attributes().AsRaw()
	require.Equal(t, n, summary[attr.LogCount])
	require.InDelta(t, float64(n-1), weight(summaries[0]), 0)
	// The sums go with the weight: the first has told its own measurements.
	require.InDelta(t, float64(n-1), sumOf(t, summary, "count"), 0, "%v", summary)
	require.InDelta(t, 2.5*float64(n-1), sumOf(t, summary, "latency"), 0, "%v", summary)
}

func TestFloodLeavesFirstAndSummary(t *testing.T) {
	backend := agenttest.StartBackend(t)
	a := agenttest.Start(t, agenttest.Options{Args: exportTo(t, backend, 5*time.Second)})
	emitEqual(t, a, 10_000)
	requireOneFirstOneSummary(t, backend, 10_000)
	a.Stop()
}

func TestWindowContinuesOverRestart(t *testing.T) {
	backend := agenttest.StartBackend(t)
	args := exportTo(t, backend, 15*time.Second)
	first := agenttest.Start(t, agenttest.Options{Args: args})
	emitEqual(t, first, 6_000)
	first.Stop()
	second := agenttest.Start(t, agenttest.Options{Args: args, StateDir: first.StateDir})
	emitEqual(t, second, 4_000)
	requireOneFirstOneSummary(t, backend, 10_000)
	second.Stop()
}

func TestFloodWhileBackendIsDown(t *testing.T) {
	backend := agenttest.StartBackend(t)
	a := agenttest.Start(t, agenttest.Options{Args: exportTo(t, backend, 5*time.Second)})
	emitEqual(t, a, 3_000)
	backend.Refuse(true)
	emitEqual(t, a, 7_000)
	require.Eventually(t, func() bool { return a.Metric("otelcol_event_dedup_summaries") > 0 }, time.Minute, 50*time.Millisecond)
	backend.Refuse(false)
	requireOneFirstOneSummary(t, backend, 10_000)
	a.Stop()
}

func TestTelemetrygenArrives(t *testing.T) {
	backend := agenttest.StartBackend(t)
	a := agenttest.Start(t, agenttest.Options{Args: exportTo(t, backend, time.Second)})
	gen := exec.Command("go", "tool", "-modfile=tools/go.mod", "telemetrygen", "logs",
		"--otlp-endpoint", a.OTLP, "--otlp-insecure", "--logs", "50", "--rate", "0", "--body", "from telemetrygen")
	gen.Dir = agenttest.Root()
	out, err := gen.CombinedOutput()
	require.NoError(t, err, string(out))
	backend.WaitLogs("50 records", func(rs []agenttest.LogRecord) bool {
		n := 0
		for _, r := range rs {
			if r.Body().AsString() == "from telemetrygen" {
				n++
			}
		}
		return n == 50
	})
	a.Stop()
}

// An application with the OpenTelemetry JavaScript SDK from npm.
func TestJavaScriptSDK(t *testing.T) {
	dir := npmInstall(t)
	backend := agenttest.StartBackend(t)
	a := agenttest.Start(t, agenttest.Options{Args: exportTo(t, backend, 2*time.Second)})
	client := exec.Command("node", "client.mjs")
	client.Dir = dir
	client.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+a.OTLPHTTP)
	out, err := client.CombinedOutput()
	require.NoError(t, err, string(out))

	backend.WaitSpans("the span", func(spans []agenttest.Span) bool { return len(spans) == 1 })
	var total float64
	backend.WaitLogs("500 events by weight and the plain record", func(rs []agenttest.LogRecord) bool {
		total = 0
		plain := 0
		for _, r := range rs {
			switch {
			case r.EventName() == "payment.declined":
				total += weight(r)
			case r.Body().AsString() == "a plain log record":
				plain++
			}
		}
		return total == 500 && plain == 1
	})
	passed, _ := events(backend.Logs(), "payment.declined")
	require.Len(t, passed, 1)
	a.Stop()
}

// The same page's flags: OpenFeature from npm, by OFREP on the applications' door.
func TestJavaScriptFlags(t *testing.T) {
	dir := npmInstall(t)
	flags := filepath.Join(t.TempDir(), "flags.json")
	require.NoError(t, os.WriteFile(flags, []byte(`{"flags": {"use_ets_sampled_events": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"}}}`), 0o600))
	a := agenttest.Start(t, agenttest.Options{Args: []string{"--config", "yaml:extensions::feature_flags::files: [" + flags + "]",
		"--config", "yaml:receivers::foundation::mount: [agent_registry, feature_flags]",
		"--config", "yaml:service::extensions: [file_storage, health_check, agent_registry, open_spans, control, feature_flags]"}})
	client := exec.Command("node", "flags.mjs")
	client.Dir = dir
	client.Env = append(os.Environ(), "OFREP_ENDPOINT=http://"+a.Door)
	out, err := client.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "on\n", string(out))
	a.Stop()
}

// What docs/any-sdk.md shows is what the tests above run.
func TestJavaScriptPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(agenttest.Root(), "docs", "any-sdk.md"))
	require.NoError(t, err)
	for _, name := range []string{"client.mjs", "flags.mjs"} {
		code, err := os.ReadFile(filepath.Join("testdata", "otel-js", name))
		require.NoError(t, err)
		require.Contains(t, string(page), "```js\n"+string(code)+"```\n", name)
	}
}

// npmInstall installs the packages of testdata/otel-js and returns the folder.
func npmInstall(t *testing.T) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("npm is not installed: make test-tools installs it")
	}
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "otel-js"))))
	install := exec.Command(npm, "ci", "--no-audit", "--no-fund")
	install.Dir = dir
	out, err := install.CombinedOutput()
	require.NoError(t, err, string(out))
	return dir
}

// number is a value as float64, whichever numeric type it has.
func number(v pcommon.Value) float64 {
	if v.Type() == pcommon.ValueTypeInt {
		return float64(v.Int())
	}
	return v.Double()
}

// sumOf is the sum of a measurement over the events of a summary.
func sumOf(t *testing.T, summary map[string]any, measurement string) float64 {
	t.Helper()
	v := pcommon.NewValueEmpty()
	require.NoError(t, v.FromRaw(summary[attr.MeasurementPre+measurement+".sum"]))
	return number(v)
}
