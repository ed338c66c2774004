package flags

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// served is a running extension and the URL of its door.
func served(t *testing.T, configure func(*Config)) (*flagsExtension, string) {
	e := started(t, func(cfg *Config) {
		cfg.Files = []string{shipped, "testdata/targeting.json"}
		if configure != nil {
			configure(cfg)
		}
	})
	mux := http.NewServeMux()
	e.MountApplication(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections() // of streams
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return e, server.URL
}

func post(t *testing.T, url, body string, header ...string) (*http.Response, map[string]any) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	var decoded map[string]any
	if len(raw) > 0 {
		require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
		require.NoError(t, json.Unmarshal(raw, &decoded), string(raw))
	}
	return answer, decoded
}

func TestSingleEvaluation(t *testing.T) {
	_, url := served(t, nil)
	for name, c := range map[string]struct {
		key, body string
		status    int
		want      map[string]any
	}{
		"static":          {"app-limit", `{"context":{"targetingKey":"k"}}`, 200, map[string]any{"key": "app-limit", "value": 12345678901.0, "variant": "large", "reason": "STATIC"}},
		"targeted":        {"app-banner", `{"context":{"email":"a@example.com"}}`, 200, map[string]any{"value": "hello", "variant": "internal", "reason": "TARGETING_MATCH"}},
		"default":         {"app-banner", `{"context":{}}`, 200, map[string]any{"value": "welcome", "variant": "public", "reason": "DEFAULT"}},
		"no body":         {"app-banner", ``, 200, map[string]any{"variant": "public"}},
		"slashes":         {"app/with/slashes", `{}`, 200, map[string]any{"key": "app/with/slashes", "value": true}},
		"escaped slashes": {"app%2Fwith%2Fslashes", `{}`, 200, map[string]any{"key": "app/with/slashes", "value": true}},
		"disabled":        {"app-disabled", `{}`, 200, map[string]any{"reason": "DISABLED", "value": nil}},
		"code default":    {"app-code-default", `{}`, 200, map[string]any{"reason": "DEFAULT", "value": nil}},
		"missing":         {"nobody", `{}`, 404, map[string]any{"key": "nobody", "errorCode": "FLAG_NOT_FOUND"}},
		"broken rule":     {"app-broken", `{}`, 400, map[string]any{"key": "app-broken", "errorCode": "PARSE_ERROR"}},
		"no variant":      {"app-no-variant", `{}`, 400, map[string]any{"key": "app-no-variant", "errorCode": "GENERAL"}},
		"no JSON":         {"app-limit", `{`, 400, map[string]any{"key": "app-limit", "errorCode": "PARSE_ERROR"}},
		"no object":       {"app-limit", `{"context":[1]}`, 400, map[string]any{"key": "app-limit", "errorCode": "INVALID_CONTEXT"}},
		"key no string":   {"app-limit", `{"context":{"targetingKey":5}}`, 400, map[string]any{"key": "app-limit", "errorCode": "INVALID_CONTEXT"}},
		"huge context":    {"app-limit", `{"context":{"x":"` + strings.Repeat("x", 40<<10) + `"}}`, 400, map[string]any{"key": "app-limit", "errorCode": "INVALID_CONTEXT"}},
		"huge body":       {"app-limit", `{"context":{"x":"` + strings.Repeat("x", 80<<10) + `"}}`, 400, map[string]any{"key": "app-limit", "errorCode": "INVALID_CONTEXT"}},
	} {
		t.Run(name, func(t *testing.T) {
			answer, got := post(t, url+ofrepFlags+"/"+c.key, c.body)
			require.Equal(t, c.status, answer.StatusCode, got)
			for field, want := range c.want {
				require.Equal(t, want, got[field], field)
			}
			if c.status == 200 {
				require.Equal(t, "fixture", got["metadata"].(map[string]any)["flagSetId"])
			}
			if reason := c.want["reason"]; reason == "DISABLED" || name == "code default" {
				require.NotContains(t, got, "value")
			}
		})
	}
}

func TestPercentageNeedsATargetingKey(t *testing.T) {
	e, url := served(t, nil)
	_, _, err := e.setShare("app-share", 30, tester)
	require.NoError(t, err)
	answer, got := post(t, url+ofrepFlags+"/app-share", `{}`)
	require.Equal(t, 400, answer.StatusCode)
	require.Equal(t, "TARGETING_KEY_MISSING", got["errorCode"])
	_, got = post(t, url+ofrepFlags+"/app-share", `{"context":{"targetingKey":"k"}}`)
	require.Equal(t, "SPLIT", got["reason"])
	_, _, err = e.setShare("app-share", 100, tester)
	require.NoError(t, err)
	_, got = post(t, url+ofrepFlags+"/app-share", `{}`)
	require.Equal(t, true, got["value"])
}

func TestBulkEvaluationAndETag(t *testing.T) {
	e, url := served(t, nil)
	const context = `{"context":{"targetingKey":"k","email":"a@example.com"}}`
	answer, got := post(t, url+ofrepFlags, context)
	require.Equal(t, 200, answer.StatusCode)
	require.Len(t, got["flags"], 7+16)
	require.Equal(t, []any{map[string]any{"type": "sse", "inactivityDelaySec": 120.0,
		"endpoint": map[string]any{"requestUri": ofrepEvents}}}, got["eventStreams"])
	byKey := map[string]map[string]any{}
	for _, f := range got["flags"].([]any) {
		byKey[f.(map[string]any)["key"].(string)] = f.(map[string]any)
	}
	require.Equal(t, "hello", byKey["app-banner"]["value"])
	require.Equal(t, "PARSE_ERROR", byKey["app-broken"]["errorCode"])
	require.Equal(t, "DISABLED", byKey["app-disabled"]["reason"])

	tag := answer.Header.Get("ETag")
	for _, sent := range []string{tag, "W/" + tag, strings.Trim(tag, `"`), `"x", ` + tag, "*"} {
		answer, got = post(t, url+ofrepFlags, context, "If-None-Match", sent)
		require.Equal(t, http.StatusNotModified, answer.StatusCode, sent)
		require.Empty(t, got)
		require.Equal(t, tag, answer.Header.Get("ETag"))
	}
	answer, _ = post(t, url+ofrepFlags, `{"context":{"targetingKey":"other"}}`, "If-None-Match", tag)
	require.Equal(t, 200, answer.StatusCode, "another context, other values")
	_, err := e.SetAll(map[string]bool{"use_ets_sampled_events": true}, tester)
	require.NoError(t, err)
	answer, _ = post(t, url+ofrepFlags+"?flagConfigEtag=abc&flagConfigLastModified=1", context, "If-None-Match", tag)
	require.Equal(t, 200, answer.StatusCode, "other flags")

	answer, got = post(t, url+ofrepFlags, `{"context":5}`)
	require.Equal(t, 400, answer.StatusCode)
	require.Equal(t, "INVALID_CONTEXT", got["errorCode"])
}

func TestAllowList(t *testing.T) {
	_, url := served(t, func(cfg *Config) { cfg.OFREP.Allow = []string{"app-l*", "use_ets_agent_registry"} })
	_, got := post(t, url+ofrepFlags, `{}`)
	require.Len(t, got["flags"], 2)
	answer, got := post(t, url+ofrepFlags+"/app-banner", `{}`)
	require.Equal(t, 404, answer.StatusCode)
	require.Equal(t, "FLAG_NOT_FOUND", got["errorCode"])
}

func TestDefectIsAnErrorThatClientsUnderstand(t *testing.T) {
	w := httptest.NewRecorder()
	guard(func(http.ResponseWriter, *http.Request) { panic("a defect") })(w, httptest.NewRequest(http.MethodPost, "/", nil))
	require.Equal(t, 500, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.JSONEq(t, `{"key":"","errorCode":"GENERAL","errorDetails":"internal error: a defect"}`, w.Body.String())
}

// events opens an event stream.
func events(t *testing.T, url, lastID string) (*http.Response, *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+ofrepEvents, nil)
	require.NoError(t, err)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	return answer, bufio.NewScanner(answer.Body)
}

// nextEvent returns the fields of the next event that carries data.
func nextEvent(t *testing.T, lines *bufio.Scanner) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name != "":
			fields[name] = value
		case fields["data"] != "":
			return fields
		}
	}
	t.Fatal("the stream ended")
	return nil
}

func TestEventStream(t *testing.T) {
	e, url := served(t, func(cfg *Config) { cfg.OFREP.MaxStreams = 2 })
	answer, lines := events(t, url, "")
	require.Equal(t, 200, answer.StatusCode)
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	_, err := e.SetAll(map[string]bool{"use_ets_sampled_events": true}, tester)
	require.NoError(t, err)
	first := nextEvent(t, lines)
	require.Equal(t, "message", first["event"])
	var data struct {
		Type, ETag   string
		LastModified int64
	}
	require.NoError(t, json.Unmarshal([]byte(first["data"]), &data))
	require.Equal(t, "refetchEvaluation", data.Type)
	require.Equal(t, first["id"], data.ETag)
	require.InDelta(t, time.Now().Unix(), data.LastModified, 10)

	e.EmergencyRollback(tester)
	second := nextEvent(t, lines)
	require.NotEqual(t, first["id"], second["id"])

	// Who was away during a change is told at once.
	_, missed := events(t, url, first["id"])
	require.Equal(t, second["id"], nextEvent(t, missed)["id"])

	refused, _ := events(t, url, "")
	require.Equal(t, http.StatusServiceUnavailable, refused.StatusCode)
	require.NotEmpty(t, refused.Header.Get("Retry-After"))
	require.Equal(t, "application/json", refused.Header.Get("Content-Type"))
}

func TestEndpointOfItsOwn(t *testing.T) {
	e := started(t, withEndpoint)
	url := "http://" + e.ofrep.addr.String()
	defer http.DefaultClient.CloseIdleConnections()
	answer, got := post(t, url+ofrepFlags+"/use_ets_sampled_events", `{}`)
	require.Equal(t, 200, answer.StatusCode, got)
	answer, got = post(t, url+"/nowhere", `{}`)
	require.Equal(t, 404, answer.StatusCode)
	require.Equal(t, "GENERAL", got["errorCode"])
	answer, _ = post(t, url+ofrepFlags, `{}`, "Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, 403, answer.StatusCode, "a page of another origin")
	answer, got = post(t, url+ofrepFlags, `{"context":{"x":"`+strings.Repeat("x", 80<<10)+`"}}`)
	require.Equal(t, 400, answer.StatusCode, "the body is bounded here too")
	require.Equal(t, "INVALID_CONTEXT", got["errorCode"])
}

func TestStreamsEndWithTheAgent(t *testing.T) {
	e, err := newExtension(settings(), configOf(shipped))
	require.NoError(t, err)
	withEndpoint(e.cfg)
	require.NoError(t, e.Start(context.Background(), nopHost))
	_, lines := events(t, "http://"+e.ofrep.addr.String(), "")
	eventually(t, func() bool { return e.ofrep.streams.open.Load() == 1 }, "open")
	require.NoError(t, e.Shutdown(context.Background()))
	for lines.Scan() { // to the end
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestNoStreamsWhereNoneAreAllowed(t *testing.T) {
	_, url := served(t, func(cfg *Config) { cfg.OFREP.MaxStreams = 0 })
	_, got := post(t, url+ofrepFlags, `{}`)
	require.NotContains(t, got, "eventStreams")
	answer, err := http.Get(url + ofrepEvents)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, 404, answer.StatusCode)
}
