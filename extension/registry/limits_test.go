package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

func TestBoundsAreRefusedClearly(t *testing.T) {
	x := start(t, "", nil, func(c *Config) {
		c.Limits.MaxEntries = 3
		c.Limits.MaxEntriesPerUID = 2
		c.Limits.MaxLabels = 2
		c.Limits.MaxLabelBytes = 10
		c.Limits.MaxMetadataBytes = 50
		c.Limits.MaxMetadataDepth = 2
		c.Limits.MaxVitals = 1
		c.Limits.MaxProcesses = 1
		c.Limits.MaxBodyBytes = 4096
	})
	for name, test := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"labels":        {`{"labels":{"a":"1","b":"2","c":"3"}}`, 422, "limit_exceeded"},
		"label":         {`{"labels":{"a":"1234567890"}}`, 422, "limit_exceeded"},
		"label text":    {`{"labels":{"a":"\u0000"}}`, 400, "invalid_label"},
		"metadata":      {`{"metadata":{"a":"` + strings.Repeat("x", 50) + `"}}`, 422, "limit_exceeded"},
		"depth":         {`{"metadata":{"a":{"b":{"c":1}}}}`, 422, "limit_exceeded"},
		"vitals":        {`{"vitals":{"a":1,"b":2}}`, 422, "limit_exceeded"},
		"processes":     {`{"processes":["a","b"]}`, 422, "limit_exceeded"},
		"body":          {`{"health_detail":"` + strings.Repeat("x", 5000) + `"}`, 413, "body_too_large"},
		"trailing body": {`{}` + strings.Repeat(" ", 5000), 413, "body_too_large"},
		"lease":         {`{"lease":"1ms"}`, 422, "lease_out_of_range"},
		"no duration":   {`{"lease":"soon"}`, 400, "invalid_json"},
		"unknown key":   {`{"lables":{}}`, 400, "invalid_json"},
		"two values":    {`{}{}`, 400, "invalid_json"},
		"no object":     {`[1]`, 400, "invalid_json"},
		"health":        {`{"health":"fine"}`, 400, "invalid_health"},
		"process name":  {`{"processes":[""]}`, 400, "invalid_process"},
	} {
		t.Run(name, func(t *testing.T) {
			var e struct{ Error door.Error }
			assert.Equal(t, test.status, x.doTCP(t, "PUT", "/v1/agents/a", test.body, "", &e), e)
			assert.Equal(t, test.code, e.Error.Code)
		})
	}
	for _, id := range []string{"count", "watch", "info", "query", "downs", "%00", strings.Repeat("x", 300)} {
		assert.NotEqual(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/"+id, `{}`, "", nil), id)
	}
	require.Zero(t, x.byID.Len())

	for i := range 2 {
		require.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", fmt.Sprintf("/v1/agents/a%d", i), `{}`, "", nil))
	}
	var e struct{ Error door.Error }
	assert.Equal(t, http.StatusTooManyRequests, x.doTCP(t, "PUT", "/v1/agents/a2", `{}`, "", &e))
	assert.Equal(t, "registry_full", e.Error.Code)
	assert.Contains(t, e.Error.Message, "max_entries_per_uid")
	assert.Equal(t, http.StatusCreated, x.do(t, "PUT", "/v1/agents/other-account", `{}`, nil))
	assert.Equal(t, http.StatusTooManyRequests, x.do(t, "PUT", "/v1/agents/one-too-many", `{}`, &e))
	assert.Contains(t, e.Error.Message, "max_entries)")
}

func TestMemoryIsBounded(t *testing.T) {
	x := start(t, "", nil, func(c *Config) { c.Limits.MaxBytes = 3 * entryOverhead })
	var done registered
	require.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/a", `{}`, "", &done))
	require.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/b", `{}`, "", nil))
	assert.Equal(t, http.StatusTooManyRequests, x.doTCP(t, "PUT", "/v1/agents/c", `{}`, "", nil))
	grow := `{"metadata":{"x":"` + strings.Repeat("x", 2000) + `"}}`
	assert.Equal(t, http.StatusTooManyRequests, x.doTCP(t, "PATCH", "/v1/agents/a", grow, done.Token, nil))
	require.Equal(t, http.StatusNoContent, x.doTCP(t, "DELETE", "/v1/agents/a", "", done.Token, nil))
	assert.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/c", `{}`, "", nil))
}
