package foundation

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/receiver/foundation/internal/metadatatest"
)

func TestOneEvent(t *testing.T) {
	var p pipeline
	c := start(t, onUnix(t), &p, nil)
	got := c.emit(`{"name":["test","event"],"measurements":{"count":1},"metadata":{"dedup_key":"k"},"agent_id":"a"}`)
	assert.Equal(t, http.StatusAccepted, got.status)
	assert.JSONEq(t, `{"accepted":1,"rejected":0,"errors":[]}`, got.text)

	require.Len(t, p.records(), 1)
	resource := p.taken[0].ResourceLogs().At(0)
	assert.Equal(t, map[string]any{"agent.id": "a"}, resource.Resource().Attributes().AsRaw())
	assert.Equal(t, map[string]any{"measurement.count": int64(1), "dedup_key": "k"}, p.records()[0].Attributes().AsRaw())
	assert.Equal(t, "test.event", p.records()[0].EventName())
}

func TestOneWrongEvent(t *testing.T) {
	var p pipeline
	c := start(t, onUnix(t), &p, nil)
	got := c.emit(`{"name":"e","measurements":{"count":"many"}}`)
	assert.Equal(t, http.StatusBadRequest, got.status)
	assert.Equal(t, "invalid_field", got.Error.Code)
	assert.Contains(t, got.Error.Message, "give a number")
	assert.Empty(t, p.records())
}

func TestLinesOfAllKinds(t *testing.T) {
	var p pipeline
	c := start(t, onUnix(t), &p, nil)
	got := c.lines(
		`{"name":"first"}`,
		``,
		`  {"name":"second","call":"event"}`+"\r",
		`{"name":"third","surprise":1}`,
		`not json`,
		`{"call":"span.dance","name":"fourth"}`,
		`{"name":"fifth"}`,
	)
	assert.Equal(t, http.StatusAccepted, got.status)
	assert.Equal(t, 3, got.Accepted)
	assert.Equal(t, 3, got.Rejected)
	require.Len(t, got.Errors, 3)
	assert.Equal(t, 4, got.Errors[0].Line)
	assert.Equal(t, "unknown_field", got.Errors[0].Code)
	assert.Equal(t, 5, got.Errors[1].Line)
	assert.Equal(t, "invalid_json", got.Errors[1].Code)
	assert.Equal(t, 6, got.Errors[2].Line)
	assert.Equal(t, "unknown_call", got.Errors[2].Code)
	assert.Contains(t, got.Errors[2].Message, "span.start, event")
	assert.Equal(t, []string{"first", "second", "fifth"}, p.names())
}

func TestManyEventsGoInFewResources(t *testing.T) {
	var p pipeline
	c := start(t, onUnix(t), &p, nil)
	const events = 2*chunkRecords + 5
	var body strings.Builder
	for i := range events {
		fmt.Fprintf(&body, `{"name":"e","agent_id":"a%d","measurements":{"i":%d}}`+"\n", i%3, i)
	}
	got := c.lines(body.String())
	assert.Equal(t, http.StatusAccepted, got.status)
	assert.Equal(t, events, got.Accepted)
	require.Len(t, p.taken, 3)
	assert.Equal(t, 3, p.taken[0].ResourceLogs().Len())
	assert.Equal(t, chunkRecords, p.taken[0].LogRecordCount())
	assert.Equal(t, 5, p.taken[2].LogRecordCount())
}

func TestErrorsListedAreBounded(t *testing.T) {
	var p pipeline
	c := start(t, onUnix(t), &p, nil)
	got := c.lines(strings.Repeat("{}\n", maxErrors+7) + `{"name":"e"}`)
	assert.Equal(t, maxErrors+7, got.Rejected)
	assert.Len(t, got.Errors, maxErrors)
	assert.Contains(t, got.text, `"errors_omitted":7`)
	assert.Equal(t, 1, got.Accepted)
}

func TestRequestsThatAreRefusedWhole(t *testing.T) {
	var p pipeline
	cfg := onUnix(t)
	cfg.Unix.Get().Server.MaxRequestBodySize = 1000
	c := start(t, cfg, &p, nil)
	zipped := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(s))
		require.NoError(t, w.Close())
		return b.String()
	}
	large := `{"name":"e","body":"` + strings.Repeat("x", 1000) + `"}`
	encoded := func(encoding, body string) *http.Request {
		req := c.request(http.MethodPost, "/v1/events", "application/json", body)
		req.Header.Set("Content-Encoding", encoding)
		return req
	}
	for _, tt := range []struct {
		name   string
		req    *http.Request
		status int
		code   string
		says   string
	}{
		{"form", c.request(http.MethodPost, "/v1/events", "application/x-www-form-urlencoded", `{"name":"e"}`), 415, "unsupported_media_type", "application/x-ndjson"},
		{"empty", c.request(http.MethodPost, "/v1/events", "application/json", ""), 400, "empty_body", ""},
		{"blank lines", c.request(http.MethodPost, "/v1/events", "application/x-ndjson", "\n \n"), 400, "empty_body", ""},
		{"large", c.request(http.MethodPost, "/v1/events", "application/json", large), 413, "body_too_large", "1000 bytes"},
		{"small gzip of a large body", encoded("gzip", zipped(large)), 413, "body_too_large", "1000 bytes"},
		{"broken gzip", encoded("gzip", "no gzip"), 400, "body_unreadable", "decompressed"},
		{"cut gzip", encoded("gzip", zipped(`{"name":"e"}`)[:20]), 400, "body_incomplete", "nothing was taken"},
		{"encoding", encoded("br", "x"), 415, "unsupported_encoding", "gzip"},
		{"path", c.request(http.MethodPost, "/v1/evnts", "application/json", `{}`), 404, "not_found", "/v1/openapi.yaml"},
		{"method", c.request(http.MethodDelete, "/v1/events", "", ""), 405, "method_not_allowed", "POST"},
		{"two objects", c.request(http.MethodPost, "/v1/events", "application/json", "{\"name\":\"e\"}\n{\"name\":\"f\"}"), 400, "invalid_json", "application/x-ndjson"},
	} {
		got := c.do(tt.req)
		assert.Equal(t, tt.status, got.status, tt.name)
		assert.Equal(t, tt.code, got.Error.Code, "%s: %s", tt.name, got.text)
		assert.Contains(t, got.Error.Message, tt.says, tt.name)
	}
	assert.Empty(t, p.records())
	assert.Equal(t, "POST", c.do(c.request(http.MethodDelete, "/v1/events", "", "")).header.Get("Allow"))

	assert.Equal(t, http.StatusAccepted, c.do(encoded("gzip", zipped(`{"name":"e"}`))).status)
	assert.Equal(t, http.StatusAccepted, c.do(c.request(http.MethodPost, "/v1/events", "", `{"name":"f"}`)).status, "no content type is JSON")
	assert.Equal(t, []string{"e", "f"}, p.names())
}

func TestReceiverWithoutALogsPipeline(t *testing.T) {
	c := start(t, onUnix(t), nil, nil)
	got := c.emit(`{"name":"e"}`)
	assert.Equal(t, http.StatusNotFound, got.status)
	assert.Equal(t, "no_pipeline", got.Error.Code)
	got = c.lines(`{"name":"e"}`, `{"name":"f"}`)
	assert.Equal(t, http.StatusAccepted, got.status)
	assert.Equal(t, 2, got.Rejected)
}

// registry knows one agent, by its process or by its token.
type registry struct {
	component.Component
	agents.Registry
	id, token string
	process   bool // the caller's is the agent's
}

func (r *registry) Proves(c door.Caller, id string) bool {
	return id == r.id && (r.process && c.Local || c.Token == r.token)
}

func (r *registry) AgentOf(c door.Caller) (string, bool) { return r.id, r.process && c.Local }

func TestWhoIsProven(t *testing.T) {
	id := component.MustNewID("agent_registry")
	for _, tt := range []struct {
		name     string
		process  bool
		token    string
		agentID  string
		resource map[string]any
	}{
		{"by its process", true, "", "a", map[string]any{"agent.id": "a"}},
		{"by a token", false, "secret", "a", map[string]any{"agent.id": "a"}},
		{"by its process, unsaid", true, "", "", map[string]any{"agent.id": "a"}},
		{"nobody", false, "", "", map[string]any{}},
		{"an impostor", false, "guess", "a", map[string]any{"agent.id": "a", "foundation.agent.unproven": true}},
		{"another agent", true, "", "b", map[string]any{"agent.id": "b", "foundation.agent.unproven": true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p pipeline
			cfg := onUnix(t)
			cfg.Registry = &id
			c := start(t, cfg, &p, map[component.ID]component.Component{id: &registry{id: "a", token: "secret", process: tt.process}})
			req := c.request(http.MethodPost, "/v1/events", "application/json", `{"name":"e","agent_id":"`+tt.agentID+`","metadata":{"foundation.agent.unproven":false}}`)
			req.Header.Set(door.TokenHeader, tt.token)
			assert.Equal(t, http.StatusAccepted, c.do(req).status)
			assert.Equal(t, tt.resource, p.taken[0].ResourceLogs().At(0).Resource().Attributes().AsRaw())
		})
	}
}

func TestProvenAndUnprovenAreKeptApart(t *testing.T) {
	id := component.MustNewID("agent_registry")
	var p pipeline
	cfg := onUnix(t)
	cfg.Registry = &id
	c := start(t, cfg, &p, map[component.ID]component.Component{id: &registry{id: "a", process: true}})
	c.lines(`{"name":"1"}`, `{"name":"2","agent_id":"b"}`, `{"name":"3","agent_id":"a"}`, `{"name":"4","agent_id":"b"}`)
	require.Equal(t, 2, p.taken[0].ResourceLogs().Len())
	assert.Equal(t, []string{"1", "3", "2", "4"}, p.names())
}

func TestMetrics(t *testing.T) {
	var p pipeline
	id := component.MustNewID("agent_registry")
	cfg := onUnix(t)
	cfg.Registry = &id
	c := start(t, cfg, &p, map[component.ID]component.Component{id: &registry{id: "a"}})
	c.lines(`{"name":"e","severity":"ERROR"}`, `{"name":"e","severity":"FATAL","agent_id":"b"}`, `{"name":"e","severity":"WARN"}`, `{}`, `x`,
		`{"name":"e","metadata":{"foundation.x":1,"sampling.adjusted_count":5}}`)
	c.emit(`{"name":"e"}`)
	c.emit(`{}`)

	sum := func(v int64) []metricdata.DataPoint[int64] { return []metricdata.DataPoint[int64]{{Value: v}} }
	ignore := metricdatatest.IgnoreTimestamp()
	metadatatest.AssertEqualFoundationEventsAccepted(t, c.tel, sum(5), ignore)
	metadatatest.AssertEqualFoundationEventsUnproven(t, c.tel, sum(1), ignore)
	metadatatest.AssertEqualFoundationControlAttributesStripped(t, c.tel, sum(2), ignore)
	metadatatest.AssertEqualFoundationEventsRefused(t, c.tel, sum(0), ignore)
	rejected := make([]metricdata.DataPoint[int64], len(reasonCodes))
	for r, code := range reasonCodes {
		value := map[reason]int64{reasonInvalidField: 2, reasonInvalidJSON: 1}[reason(r)]
		rejected[r] = metricdata.DataPoint[int64]{Value: value, Attributes: attribute.NewSet(attribute.String("reason", code))}
	}
	metadatatest.AssertEqualFoundationEventsRejected(t, c.tel, rejected, ignore)
	requests := func(outcome string) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: 1, Attributes: attribute.NewSet(attribute.String("call", "events"), attribute.String("outcome", outcome))}
	}
	metadatatest.AssertEqualFoundationRequests(t, c.tel, []metricdata.DataPoint[int64]{requests("partial"), requests("accepted"), requests("rejected")}, ignore, metricdatatest.IgnoreExemplars())
}
