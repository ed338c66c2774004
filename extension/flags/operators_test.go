package flags

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// operate calls the operators' API as control routes it.
func operate(t *testing.T, e *flagsExtension, method, path, body string, into any) int {
	t.Helper()
	mux := http.NewServeMux()
	for _, route := range e.OperatorRoutes() {
		mux.HandleFunc(route.Pattern, route.Handler)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), into), w.Body.String())
	return w.Code
}

func TestOperatorsSeeWhatHoldsAndWhatTheFileSays(t *testing.T) {
	e := started(t, func(cfg *Config) { cfg.Files = append(cfg.Files, "testdata/targeting.json") })
	_, err := e.Bind("use_ets_sampled_events")
	require.NoError(t, err)
	var change operator.FlagChange
	require.Equal(t, 200, operate(t, e, "POST", "/v1/flags/use_ets_sampled_events/enable?author=ann&reason=stage+4", "", &change))
	require.False(t, change.Persisted)
	require.Len(t, change.Flags, 1)
	f := change.Flags[0]
	require.Equal(t, "use_ets_sampled_events", f.Name)
	require.Equal(t, true, f.Value)
	require.Equal(t, "on", f.Variant)
	require.Equal(t, false, f.FileValue)
	require.Equal(t, shipped, f.Source)
	require.True(t, f.Bound)
	require.True(t, f.Migration)
	require.Equal(t, "ann (tcp)", f.Override.Author)
	require.Equal(t, "stage 4", f.Override.Reason)
	require.True(t, f.Override.MasksFile)

	for path, body := range map[string]string{
		"app-limit/set":        `{"value":7}`,
		"app-banner/set":       `{"variant":"internal"}`,
		"app-theme/set":        `{"value":{"color":"red"}}`,
		"app-share/percentage": `{"percentage":25}`,
	} {
		require.Equal(t, 200, operate(t, e, "POST", "/v1/flags/"+path, body, &change), path)
		require.NotNil(t, change.Flags[0].Override, path)
	}
	var list struct{ Flags []operator.Flag }
	require.Equal(t, 200, operate(t, e, "GET", "/v1/flags", "", &list))
	require.Len(t, list.Flags, 7+16)
	require.Equal(t, 200, operate(t, e, "GET", "/v1/flags/app%2Fwith%2Fslashes", "", &f))
	require.Equal(t, "app/with/slashes", f.Name)
	change = operator.FlagChange{}
	require.Equal(t, 200, operate(t, e, "POST", "/v1/flags/app-limit/reset", "", &change))
	require.Nil(t, change.Flags[0].Override)
	require.Equal(t, 200, operate(t, e, "POST", "/v1/flags/emergency-rollback?reason=fire", "", &change))
	require.Len(t, change.Flags, 7)
	require.Equal(t, 200, operate(t, e, "POST", "/v1/flags/reset", "", &change))
	require.Len(t, change.Flags, 7+16)
	require.Empty(t, e.state.Load().overrides)
}

func TestOperatorsAreToldWhatExists(t *testing.T) {
	e := started(t, nil)
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/v1/flags/nobody", "", 404, "unknown_flag"},
		{"POST", "/v1/flags/nobody/enable", "", 404, "unknown_flag"},
		{"POST", "/v1/flags/nobody/reset", "", 404, "unknown_flag"},
		{"POST", "/v1/flags/enforce_no_process_dict/enable", "", 409, "unmet_dependencies"},
		{"POST", "/v1/flags/use_ets_sampled_events/percentage", `{"percentage":101}`, 400, "invalid_value"},
		{"POST", "/v1/flags/use_ets_sampled_events/percentage", `{}`, 400, "invalid_value"},
		{"POST", "/v1/flags/use_ets_sampled_events/set", `{"value":"maybe"}`, 400, "invalid_value"},
		{"POST", "/v1/flags/use_ets_sampled_events/set", `{"value":true,"variant":"on"}`, 400, "invalid_value"},
		{"POST", "/v1/flags/use_ets_sampled_events/set", `{}`, 400, "invalid_value"},
		{"POST", "/v1/flags/use_ets_sampled_events/set", `{`, 400, "invalid_value"},
	} {
		var answer struct {
			Error struct {
				Code, Message string
				Details       struct{ Flags []string }
			}
		}
		require.Equal(t, c.status, operate(t, e, c.method, c.path, c.body, &answer), c.path)
		require.Equal(t, c.code, answer.Error.Code, c.path)
		require.Len(t, answer.Error.Details.Flags, 7)
	}
}
