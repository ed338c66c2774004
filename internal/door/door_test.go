package door

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWriteRetryRoundsUpToASecond(t *testing.T) {
	for after, header := range map[time.Duration]string{0: "1", time.Millisecond: "1", 1200 * time.Millisecond: "2", 30 * time.Second: "30"} {
		w := httptest.NewRecorder()
		WriteRetry(w, http.StatusServiceUnavailable, after, Error{Code: "busy", Message: "wait"})
		assert.Equal(t, header, w.Header().Get("Retry-After"), after)
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.JSONEq(t, `{"error":{"code":"busy","message":"wait"}}`, w.Body.String())
		assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	}
}

func TestContentTypes(t *testing.T) {
	for media, want := range map[string][2]bool{ // JSON, NDJSON
		"":                                  {true, false},
		"application/json":                  {true, false},
		"Application/JSON; charset=utf-8":   {true, false},
		"application/x-ndjson":              {true, true},
		"application/jsonl":                 {true, true},
		"text/plain":                        {false, false},
		"application/x-www-form-urlencoded": {false, false},
	} {
		assert.Equal(t, want, [2]bool{IsJSON(media), IsNDJSON(media)}, media)
	}
}

func TestCallerGoesWithTheContext(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set(TokenHeader, "secret")
	caller := CallerOf(r)
	assert.Equal(t, Caller{Token: "secret"}, caller)
	got, ok := CallerIn(WithCaller(t.Context(), caller))
	assert.True(t, ok)
	assert.Equal(t, caller, got)
	_, ok = CallerIn(t.Context())
	assert.False(t, ok)
}

func TestDraining(t *testing.T) {
	assert.Nil(t, Draining(context.Background()))
	draining := make(chan struct{})
	ctx := WithDraining(t.Context(), draining)
	close(draining)
	<-Draining(ctx)
}

func TestBrowsersAreKeptOut(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	tests := []struct {
		name, endpoint, host string
		header               map[string]string
		want                 int
	}{
		{"curl by name", "localhost:4327", "localhost:4327", nil, 204},
		{"curl by address", "localhost:4327", "127.0.0.1:4327", nil, 204},
		{"curl by IPv6 address", "[::1]:4327", "[::1]:4327", nil, 204},
		{"DNS rebinding", "localhost:4327", "evil.example:4327", map[string]string{"Origin": "http://evil.example:4327"}, 403},
		{"DNS rebinding of an address", "127.0.0.1:4327", "evil.example:4327", nil, 403},
		{"a page of another origin", "localhost:4327", "localhost:4327", map[string]string{"Origin": "https://evil.example"}, 403},
		{"a page of another port", "localhost:4327", "localhost:4327", map[string]string{"Origin": "http://localhost:8080"}, 403},
		{"a page as browsers tell", "localhost:4327", "localhost:4327", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"a trusted page", "localhost:4327", "localhost:4327", map[string]string{"Origin": "https://good.example"}, 204},
		{"a name, not on loopback", "0.0.0.0:4327", "agent.svc:4327", nil, 204},
		{"a page, not on loopback", "0.0.0.0:4327", "agent.svc:4327", map[string]string{"Origin": "https://evil.example"}, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := KeepBrowsersOut(ok, tt.endpoint, []string{"https://good.example"})
			require.NoError(t, err)
			r := httptest.NewRequest(http.MethodPost, "/v1/events", nil)
			r.Host = tt.host
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			assert.Equal(t, tt.want, w.Code, w.Body)
		})
	}
}

func TestTrustedOriginThatIsNoneIsRefused(t *testing.T) {
	_, err := KeepBrowsersOut(http.NotFoundHandler(), "localhost:1", []string{"not an origin"})
	require.Error(t, err)
}
