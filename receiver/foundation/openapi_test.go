package foundation

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
)

func init() {
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/yaml", openapi3filter.PlainBodyDecoder)
}

// document is the OpenAPI document as the door serves it.
func document(t *testing.T, c *client) (*openapi3.T, routers.Router) {
	t.Helper()
	served := c.do(c.request(http.MethodGet, "/v1/openapi.yaml", "", ""))
	require.Equal(t, http.StatusOK, served.status)
	doc, err := openapi3.NewLoader().LoadFromData([]byte(served.text))
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	router, err := gorillamux.NewRouter(doc)
	require.NoError(t, err)
	return doc, router
}

// exchange sends a request and holds both it and its answer against the document.
func exchange(t *testing.T, c *client, router routers.Router, method, path, media, body string) (status int, requestErr error) {
	t.Helper()
	req := c.request(method, path, media, body)
	got := c.do(req)

	described := httptest.NewRequest(method, path, bytes.NewReader([]byte(body)))
	described.Header = req.Header
	route, params, err := router.FindRoute(described)
	require.NoError(t, err)
	in := &openapi3filter.RequestValidationInput{Request: described, PathParams: params, Route: route}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: got.status, Header: got.header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true}}
	out.SetBodyBytes([]byte(got.text))
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), out), "%s: %s", body, got.text)
	return got.status, openapi3filter.ValidateRequest(t.Context(), in)
}

// The document describes each route that there is, and no other.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	c := start(t, onUnix(t), &pipeline{}, nil)
	doc, _ := document(t, c)
	mux := http.NewServeMux()
	r, err := newReceiver(onUnix(t), nopSettings)
	require.NoError(t, err)
	r.routes(mux)
	want := map[string]bool{"POST /v1/events": true, "GET /v1/openapi.yaml": true,
		"GET /v1/spans/current": true, "GET /v1/spans/propagate": true, "GET /v1/context": true}
	for _, call := range r.calls {
		want["POST "+call.path] = true
	}
	described := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described[method+" "+path] = true
			_, pattern := mux.Handler(httptest.NewRequest(method, path, nil))
			assert.NotEmpty(t, pattern, "%s %s is described and not served", method, path)
		}
	}
	assert.Equal(t, want, described)
}

// What the document allows is taken, what it forbids is refused, and every answer is as it says.
func TestOpenAPIAgreesWithTheHandlers(t *testing.T) {
	c := start(t, onUnix(t), &pipeline{}, nil)
	_, router := document(t, c)
	for _, event := range []string{
		`{"name":"test.event"}`,
		`{"name":["test","event"],"call":"event"}`,
		`{"name":"e","measurements":{"a":1,"b":2.5e3},"metadata":{"x":[{"y":null}]},"body":{"any":1}}`,
		`{"name":"e","timestamp":"2026-11-22T11:00:00Z","severity":"ERROR"}`,
		`{"name":"e","timestamp":1763000000000000000,"severity":17}`,
		`{"name":"e","trace_id":"0102030405060708090a0b0c0d0e0f10","span_id":"0102030405060708","agent_id":"a","process":"p"}`,
		`{"name":"e","once_per":"10s","dedup_key":"k","batch":{"key":"b","size":100,"timeout":"5s"}}`,
		`{"name":"e","measurements":null,"metadata":null,"timestamp":null,"severity":null,"body":null,"agent_id":null,"process":null,"trace_id":null,"span_id":null,"dedup_key":null,"once_per":null,"batch":null}`,
	} {
		status, err := exchange(t, c, router, http.MethodPost, "/v1/events", "application/json", event)
		assert.NoError(t, err, event)
		assert.Equal(t, http.StatusAccepted, status, event)
	}
	for _, event := range []string{
		`{}`, `[]`, `{"name":""}`, `{"name":7}`, `{"name":[]}`, `{"name":"e","extra":1}`, `{"name":"e","measurements":{"a":"1"}}`, `{"name":"e","metadata":[]}`,
		`{"name":"e","severity":25}`, `{"name":"e","severity":true}`, `{"name":"e","trace_id":"xyz"}`, `{"name":"e","span_id":"0102"}`,
		`{"name":"e","batch":{"key":"b","size":0}}`, `{"name":"e","batch":{"k":"b"}}`, `{"name":"e","timestamp":true}`, `{"name":"e","agent_id":1}`,
		`{"name":"` + strings.Repeat("x", maxText+1) + `"}`, `{"name":"e","call":"span.start"}`,
	} {
		status, err := exchange(t, c, router, http.MethodPost, "/v1/events", "application/json", event)
		assert.Error(t, err, event)
		assert.Equal(t, http.StatusBadRequest, status, event)
	}
	status, err := exchange(t, c, router, http.MethodPost, "/v1/events", "application/x-ndjson", "{\"name\":\"e\"}\n{}\n")
	assert.NoError(t, err)
	assert.Equal(t, http.StatusAccepted, status)
	status, err = exchange(t, c, router, http.MethodPost, "/v1/events", "text/plain", "hello")
	assert.Error(t, err)
	assert.Equal(t, http.StatusUnsupportedMediaType, status)
	status, err = exchange(t, c, router, http.MethodGet, "/v1/openapi.yaml", "", "")
	assert.NoError(t, err)
	assert.Equal(t, http.StatusOK, status)
}

// Refusals too are as the document says.
func TestOpenAPIAgreesWithRefusals(t *testing.T) {
	for _, answer := range []error{fmt.Errorf("queue is full"), consumererror.NewPermanent(fmt.Errorf("never"))} {
		c := start(t, onUnix(t), &pipeline{answer: func(context.Context, plog.Logs) error { return answer }}, nil)
		_, router := document(t, c)
		for media, body := range map[string]string{"application/json": `{"name":"e"}`, "application/x-ndjson": "{}\n{\"name\":\"e\"}\n"} {
			_, err := exchange(t, c, router, http.MethodPost, "/v1/events", media, body)
			assert.NoError(t, err)
		}
	}
	c := start(t, onUnix(t), nil, nil)
	_, router := document(t, c)
	status, err := exchange(t, c, router, http.MethodPost, "/v1/events", "application/json", `{"name":"e"}`)
	assert.NoError(t, err)
	assert.Equal(t, http.StatusNotFound, status)
}
