package registry

import (
	"bytes"
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
)

func init() {
	openapi3filter.RegisterBodyDecoder("application/yaml", openapi3filter.PlainBodyDecoder)
}

func document(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	router, err := gorillamux.NewRouter(doc)
	require.NoError(t, err)
	return doc, router
}

// The document describes each route that there is, and no other.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	doc, _ := document(t)
	x := start(t, "", nil, nil)
	want := map[string]bool{"GET /v1/agents/watch": true, "GET /v1/agents/openapi.yaml": true}
	for _, rt := range x.routes() {
		want[rt.pattern] = true
	}
	described := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described[method+" "+path] = true
		}
	}
	assert.Equal(t, want, described)
}

// What the document allows is taken, what it forbids is refused, and every answer is as it says.
func TestOpenAPIAgreesWithTheHandlers(t *testing.T) {
	x := start(t, "", nil, nil)
	_, router := document(t)
	mux := http.NewServeMux()
	x.MountApplication(mux)
	token := ""
	for _, test := range []struct {
		method, path, body string
		status             int
		asDescribed        bool
	}{
		{"PUT", "/v1/agents/a", `{"labels":{"z":"eu"},"metadata":{"m":{"n":1}},"lease":"30s","endpoint":":9464","processes":["p"],"health":"healthy","health_detail":"d","vitals":{"v":1.5},"instance":"i"}`, 201, true},
		{"PUT", "/v1/agents/a", `{"labels":{"z":"us"}}`, 200, true},
		{"PUT", "/v1/agents/b", `{"pid":1}`, 403, true},
		{"PUT", "/v1/agents/b", `{"endpoint":"10.0.0.1:80"}`, 422, true},
		{"PUT", "/v1/agents/b", `{"labels":{"z":1}}`, 400, false},
		{"PUT", "/v1/agents/b", `{"extra":1}`, 400, false},
		{"PUT", "/v1/agents/b", `{"health":"fine"}`, 400, false},
		{"PUT", "/v1/agents/b", `{"health_detail":"` + strings.Repeat("x", 1025) + `"}`, 400, false},
		{"PUT", "/v1/agents/b", `{"metadata":"` + strings.Repeat("x", 300_000) + `"}`, 413, false},
		{"PUT", "/v1/agents/b", `{"metadata":{"x":"` + strings.Repeat("x", 20_000) + `"}}`, 422, true},
		{"GET", "/v1/agents/a", ``, 200, true},
		{"GET", "/v1/agents/nobody", ``, 404, true},
		{"PATCH", "/v1/agents/a", `{"labels":{"z":null},"metadata":{"m":{"n":null}},"health":"degraded","endpoint":null,"lease":null}`, 200, true},
		{"PATCH", "/v1/agents/nobody", `{}`, 404, true},
		{"PATCH", "/v1/agents/a", `{"labels":[]}`, 400, false},
		{"POST", "/v1/agents/a/heartbeat", `{"vitals":{"m":1},"health":"healthy"}`, 200, true},
		{"POST", "/v1/agents/a/heartbeat", `{"vitals":{"m":"1"}}`, 400, false},
		{"POST", "/v1/agents/a/down", `{"process":"p","reason":"killed"}`, 202, true},
		{"POST", "/v1/agents/a/down", `{"reason":"killed"}`, 400, false},
		{"GET", "/v1/agents", ``, 200, true},
		{"GET", "/v1/agents?limit=1&labels.z=x", ``, 200, true},
		{"GET", "/v1/agents?limit=5000", ``, 400, false},
		{"GET", "/v1/agents/count", ``, 200, true},
		{"POST", "/v1/agents/query", `{"where":[{"field":["labels","z"],"op":"eq","value":null}],"limit":1}`, 200, true},
		{"POST", "/v1/agents/query", `{"where":[{"field":"labels.z","op":"like","value":"x"}]}`, 400, false},
		{"GET", "/v1/agents/downs", ``, 200, true},
		{"GET", "/v1/agents/info", ``, 200, true},
		{"GET", "/v1/agents/openapi.yaml", ``, 200, true},
		{"DELETE", "/v1/agents/a", `{"reason":"bye"}`, 204, true},
		{"DELETE", "/v1/agents/a", ``, 404, true},
		{"GET", "/v1/agents/a", ``, 404, true}, // with how it went down
	} {
		name := fmt.Sprintf("%s %s %.80s", test.method, test.path, test.body)
		newRequest := func() *http.Request {
			r := httptest.NewRequest(test.method, test.path, bytes.NewReader([]byte(test.body)))
			r.RemoteAddr = "127.0.0.1:4000"
			r.Header.Set("Foundation-Agent-Token", token)
			if test.body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			return r
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, newRequest())
		require.Equal(t, test.status, w.Code, "%s: %s", name, w.Body)
		if token == "" {
			token = tokenIn(t, w.Body.Bytes())
		}
		described := newRequest()
		route, params, err := router.FindRoute(described)
		require.NoError(t, err, name)
		in := &openapi3filter.RequestValidationInput{Request: described, PathParams: params, Route: route}
		if err := openapi3filter.ValidateRequest(t.Context(), in); test.asDescribed {
			assert.NoError(t, err, name)
		} else {
			assert.Error(t, err, name)
		}
		out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: w.Code, Header: w.Header(),
			Options: &openapi3filter.Options{IncludeResponseStatus: true}}
		out.SetBodyBytes(w.Body.Bytes())
		assert.NoError(t, openapi3filter.ValidateResponse(t.Context(), out), "%s: %s", name, w.Body)
	}
}
