package foundation

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/extension/openspans"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// spanSink keeps the spans that leave a table.
type spanSink struct {
	mu    sync.Mutex
	spans []ptrace.Span
}

func (s *spanSink) consume(_ context.Context, td ptrace.Traces) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				s.spans = append(s.spans, span)
			}
		}
	}
	return nil
}

// withSpans runs a receiver with a table of open spans behind it.
func withSpans(t *testing.T, change ...func(*Config)) (*client, *spanSink) {
	factory := openspans.NewFactory()
	id := component.NewID(factory.Type())
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig())
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	sink := &spanSink{}
	detach, err := ext.(spans.Table).AttachOutlet(sink.consume)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, detach(context.Background()))
		require.NoError(t, ext.Shutdown(context.Background()))
	})
	cfg := onUnix(t)
	cfg.OpenSpans = &id
	for _, c := range change {
		c(cfg)
	}
	return start(t, cfg, &pipeline{}, map[component.ID]component.Component{id: ext}), sink
}

// post makes one call and returns its answer.
func (c *client) post(path, body string, status int) (got map[string]any) {
	c.t.Helper()
	answer := c.do(c.request(http.MethodPost, path, "application/json", body))
	require.Equal(c.t, status, answer.status, answer.text)
	require.NoError(c.t, json.Unmarshal([]byte(answer.text), &got))
	return got
}

func (c *client) get(path string, status int) (got map[string]any) {
	c.t.Helper()
	answer := c.do(c.request(http.MethodGet, path, "", ""))
	require.Equal(c.t, status, answer.status, answer.text)
	require.NoError(c.t, json.Unmarshal([]byte(answer.text), &got))
	return got
}

func TestSpanCalls(t *testing.T) {
	c, sink := withSpans(t)
	root := c.post("/v1/spans/start", `{"name":"root","agent_id":"a","process":"p","kind":"server","attributes":{"x":1}}`, 200)
	child := c.post("/v1/spans/start", `{"name":"child","agent_id":"a","process":"p"}`, 200)
	assert.Equal(t, root["trace_id"], child["trace_id"])
	assert.Equal(t, root["span_id"], child["parent_span_id"])
	current := c.get("/v1/spans/current?agent_id=a&process=p", 200)
	assert.Equal(t, child["span_id"], current["span_id"])
	c.post("/v1/spans/attributes", `{"agent_id":"a","process":"p","attributes":{"y":true}}`, 200)
	c.post("/v1/spans/event", `{"agent_id":"a","process":"p","name":"e","attributes":{"z":"v"}}`, 200)
	c.post("/v1/spans/link", `{"agent_id":"a","process":"p","link":{"trace_id":"0102030405060708090a0b0c0d0e0f10","span_id":"0102030405060708"}}`, 200)

	handed := c.get("/v1/spans/propagate?agent_id=a&process=p", 200)
	assert.Equal(t, "00-"+child["trace_id"].(string)+"-"+child["span_id"].(string)+"-01", handed["traceparent"])
	c.post("/v1/spans/adopt", `{"agent_id":"a","process":"q","traceparent":"`+handed["traceparent"].(string)+`"}`, 200)
	forked := c.post("/v1/spans/start", `{"name":"forked","agent_id":"a","process":"q"}`, 200)
	assert.Equal(t, child["span_id"], forked["parent_span_id"])

	c.post("/v1/spans/end", `{"agent_id":"a","process":"p","status":{"code":"ERROR","message":"m"},"duration_ns":5}`, 200)
	c.post("/v1/spans/end", `{"agent_id":"a","process":"p"}`, 200)
	told := c.post("/v1/spans/end", `{"agent_id":"a","process":"p"}`, 409)
	assert.Equal(t, "nothing_open", told["error"].(map[string]any)["code"])

	require.Eventually(t, func() bool { sink.mu.Lock(); defer sink.mu.Unlock(); return len(sink.spans) == 2 }, waitFor, tick)
	got := sink.spans[0]
	assert.Equal(t, "child", got.Name())
	assert.Equal(t, map[string]any{"foundation.process": "p", "y": true}, got.Attributes().AsRaw())
	assert.Equal(t, 1, got.Events().Len())
	assert.Equal(t, 1, got.Links().Len())
	assert.Equal(t, ptrace.StatusCodeError, got.Status().Code())
	assert.EqualValues(t, 5, got.EndTimestamp()-got.StartTimestamp())
	assert.Equal(t, ptrace.SpanKindServer, sink.spans[1].Kind())
}

func TestContextCalls(t *testing.T) {
	c, _ := withSpans(t)
	c.post("/v1/context/push", `{"agent_id":"a","process":"p","context":{"operation":"validation","user":1}}`, 200)
	inner := c.post("/v1/context/push", `{"agent_id":"a","process":"p","context":{"step":"parse","user":2}}`, 200)
	assert.Equal(t, map[string]any{"operation": "validation", "step": "parse", "user": 2.0}, inner["context"])
	outer := c.post("/v1/context/pop", `{"agent_id":"a","process":"p"}`, 200)
	assert.Equal(t, map[string]any{"operation": "validation", "user": 1.0}, outer["context"])
	c.post("/v1/context/set", `{"agent_id":"a","process":"p","context":{"request":"r"}}`, 200)
	assert.Equal(t, map[string]any{"operation": "validation", "user": 1.0, "request": "r"}, c.get("/v1/context?agent_id=a&process=p", 200)["context"])
	assert.Empty(t, c.get("/v1/context?agent_id=a&process=q", 200)["context"])
	c.post("/v1/context/clear", `{"agent_id":"a","process":"p"}`, 200)
	assert.Empty(t, c.get("/v1/context?agent_id=a&process=p", 200)["context"])
	c.post("/v1/context/pop", `{"agent_id":"a","process":"p"}`, 409)
}

// Calls and events come in one request, and are done in its order.
func TestCallsAsLines(t *testing.T) {
	c, sink := withSpans(t)
	got := c.lines(
		`{"call":"span.start","name":"one","agent_id":"a","process":"p"}`,
		`{"name":"an.event","agent_id":"a"}`,
		`{"call":"context.push","agent_id":"a","process":"p","context":{"k":"v"}}`,
		`{"call":"span.end","agent_id":"a","process":"p"}`,
		`{"call":"span.end","agent_id":"a","process":"p"}`,
		`{"call":"span.sideways"}`,
	)
	assert.Equal(t, 202, got.status, got.text)
	assert.Equal(t, 4, got.Accepted)
	require.Equal(t, 2, got.Rejected, got.text)
	assert.Equal(t, "nothing_open", got.Errors[0].Code)
	assert.Equal(t, 5, got.Errors[0].Line)
	assert.Equal(t, "unknown_call", got.Errors[1].Code)
	require.Eventually(t, func() bool { sink.mu.Lock(); defer sink.mu.Unlock(); return len(sink.spans) == 1 }, waitFor, tick)
	assert.Equal(t, map[string]any{"foundation.process": "p", "error_context.k": "v"}, sink.spans[0].Attributes().AsRaw())
}

func TestWrongCalls(t *testing.T) {
	c, _ := withSpans(t)
	for path, bodies := range map[string][]string{
		"/v1/spans/start":      {`{}`, `{"name":""}`, `{"name":"x","kind":"odd"}`, `{"name":"x","heartbeat":"-1s"}`, `{"name":"x","span_id":"1"}`, `{"name":"x","links":[{}]}`, `{"name":"x","extra":1}`, `{"name":"x","parent_span_id":"0102030405060708"}`},
		"/v1/spans/end":        {`[]`, `{"status":"odd"}`, `{"duration_ns":-1}`, `{"duration_ns":"1"}`, `{"kind":"server"}`},
		"/v1/spans/attributes": {`{"attributes":[]}`, `{"attributes":{"":1}}`, `{"name":"x"}`},
		"/v1/spans/event":      {`{}`, `{"name":7}`},
		"/v1/spans/link":       {`{"link":{"trace_id":"01"}}`},
		"/v1/spans/adopt":      {`{}`, `{"traceparent":"00-00-00-00"}`, `{"traceparent":"ff-0102030405060708090a0b0c0d0e0f10-0102030405060708-01"}`},
		"/v1/context/push":     {`{}`, `{"context":[]}`, `{"context":{"":1}}`},
		"/v1/context/pop":      {`{"context":{}}`},
	} {
		for _, body := range bodies {
			c.post(path, body, 400)
		}
	}
}

func TestSpanCallsAgreeWithOpenAPI(t *testing.T) {
	c, _ := withSpans(t)
	_, router := document(t, c)
	for _, call := range []struct{ method, path, body string }{
		{"POST", "/v1/spans/start", `{"name":"x","agent_id":"a","process":"p","kind":"client","timestamp":"2026-11-22T11:00:00Z","attributes":{"a":[1]},"resource":{"service.name":"s"},"scope":{"name":"n"},"heartbeat":"10s","status":"ok","events":[{"name":"e","timestamp":1763000000000000000}],"links":[{"trace_id":"0102030405060708090a0b0c0d0e0f10","span_id":"0102030405060708"}]}`},
		{"POST", "/v1/spans/attributes", `{"agent_id":"a","process":"p","attributes":{"b":1}}`},
		{"POST", "/v1/spans/event", `{"agent_id":"a","process":"p","name":"e"}`},
		{"POST", "/v1/spans/link", `{"agent_id":"a","process":"p","links":[]}`},
		{"GET", "/v1/spans/current?agent_id=a&process=p", ""},
		{"GET", "/v1/spans/propagate?agent_id=a&process=p", ""},
		{"POST", "/v1/spans/end", `{"agent_id":"a","process":"p","status":{"code":"error","message":"m"},"duration_ns":1}`},
		{"POST", "/v1/spans/adopt", `{"agent_id":"a","process":"p","traceparent":"00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01","context":{"a":1}}`},
		{"POST", "/v1/context/push", `{"agent_id":"a","process":"p","context":{"a":1}}`},
		{"POST", "/v1/context/set", `{"agent_id":"a","process":"p","context":{"a":1}}`},
		{"GET", "/v1/context?agent_id=a&process=p", ""},
		{"POST", "/v1/context/pop", `{"agent_id":"a","process":"p"}`},
		{"POST", "/v1/context/clear", `{"agent_id":"a","process":"p"}`},
	} {
		media := ""
		if call.body != "" {
			media = "application/json"
		}
		status, err := exchange(t, c, router, call.method, call.path, media, call.body)
		assert.NoError(t, err, call.path)
		assert.Equal(t, http.StatusOK, status, call.path)
	}
	status, _ := exchange(t, c, router, "POST", "/v1/spans/end", "application/json", `{"agent_id":"nobody"}`)
	assert.Equal(t, http.StatusConflict, status)
}

func TestCallsWithoutATable(t *testing.T) {
	c := start(t, onUnix(t), &pipeline{}, nil)
	c.post("/v1/spans/start", `{"name":"x"}`, 404)
	c.get("/v1/context", 404)
}

func FuzzSpanCalls(f *testing.F) {
	f.Add([]byte(`{"name":"x","kind":"server","attributes":{"a":[1,{"b":null}]},"links":[{"trace_id":"0102030405060708090a0b0c0d0e0f10","span_id":"0102030405060708"}]}`))
	f.Add([]byte(`{"status":{"code":"error","message":"m"},"duration_ns":5,"timestamp":"2026-11-22T11:00:00Z"}`))
	f.Add([]byte(`{"traceparent":"00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01","context":{"k":"v"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := spanDecoders.Get().(*spanDecoder)
		defer spanDecoders.Put(d)
		for _, allowed := range []spanFields{startFields, endFields, attributesFields, eventFields, linkFields} {
			if half, err := d.decode(data, allowed, fuzzTime); err == nil {
				require.False(t, half.Span.StartTimestamp() != 0 && half.Span.EndTimestamp() != 0, "a call makes halves only")
			}
		}
		_, _ = d.decodeContext(data, withValues)
		if p, err := d.decodeAdopt(data); err == nil {
			require.False(t, p.TraceID.IsEmpty() || p.SpanID.IsEmpty())
		}
	})
}

const (
	waitFor = 5 * time.Second
	tick    = time.Millisecond
)

var fuzzTime = time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)
