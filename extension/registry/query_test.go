package registry

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

func TestQueryOperators(t *testing.T) {
	x := start(t, "", nil, nil)
	for id, body := range map[string]string{
		"a": `{"labels":{"zone":"eu","app.kubernetes.io/name":"x"},"metadata":{"model":{"name":"m1","size":7}},"vitals":{"memory":100},"health":"healthy"}`,
		"b": `{"labels":{"zone":"us"},"metadata":{"model":{"name":"m2","size":70},"tags":["x","y"]},"vitals":{"memory":200}}`,
		"c": `{"metadata":{"model":null,"on":true}}`,
	} {
		require.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/"+id, body, "", nil))
	}
	for where, want := range map[string][]string{
		`[]`: {"a", "b", "c"},
		`[{"field":"labels.zone","op":"eq","value":"eu"}]`:                                                                              {"a"},
		`[{"field":"labels.zone","op":"ne","value":"eu"}]`:                                                                              {"b", "c"},
		`[{"field":"labels.zone","op":"in","value":["eu","us"]}]`:                                                                       {"a", "b"},
		`[{"field":"labels.zone","op":"not_in","value":["eu"]}]`:                                                                        {"b", "c"},
		`[{"field":"labels.app.kubernetes.io/name","op":"eq","value":"x"}]`:                                                             {"a"},
		`[{"field":["labels","app.kubernetes.io/name"],"op":"eq","value":"x"}]`:                                                         {"a"},
		`[{"field":"metadata.model.size","op":"gt","value":7}]`:                                                                         {"b"},
		`[{"field":"metadata.model.size","op":"lt","value":70}]`:                                                                        {"a"},
		`[{"field":["metadata","model","name"],"op":"gt","value":"m1"}]`:                                                                {"b"},
		`[{"field":"metadata.model.size","op":"gt","value":"7"}]`:                                                                       nil,
		`[{"field":"metadata.model.name.deeper","op":"eq","value":1}]`:                                                                  nil,
		`[{"field":"metadata.model","op":"eq","value":null}]`:                                                                           {"c"},
		`[{"field":"metadata.on","op":"eq","value":true}]`:                                                                              {"c"},
		`[{"field":"metadata.tags","op":"eq","value":["x","y"]}]`:                                                                       {"b"},
		`[{"field":"metadata.model","op":"eq","value":{"name":"m1","size":7}}]`:                                                         {"a"},
		`[{"field":"vitals.memory","op":"gt","value":100}]`:                                                                             {"b"},
		`[{"field":"health","op":"eq","value":"healthy"}]`:                                                                              {"a"},
		`[{"field":"id","op":"gt","value":"a"},{"field":"id","op":"lt","value":"c"}]`:                                                   {"b"},
		`[{"field":"state","op":"eq","value":"up"},{"field":"via","op":"eq","value":"tcp"},{"field":"id","op":"in","value":["c","z"]}]`: {"c"},
	} {
		var p page
		require.Equal(t, http.StatusOK, x.do(t, "POST", "/v1/agents/query", `{"where":`+where+`}`, &p), where)
		ids := make([]string, 0, len(p.Agents))
		for _, a := range p.Agents {
			ids = append(ids, a.ID)
		}
		assert.ElementsMatch(t, want, ids, where)
		assert.Equal(t, len(want), p.Total)
	}
	for _, body := range []string{
		`{"where":[{"field":"","op":"eq","value":1}]}`, `{"where":[{"field":[],"op":"eq","value":1}]}`,
		`{"where":[{"field":"labels","op":"eq","value":1}]}`, `{"where":[{"field":"id.x","op":"eq","value":1}]}`,
		`{"where":[{"field":"id","op":"like","value":1}]}`, `{"where":[{"field":"id","op":"in","value":"a"}]}`,
		`{"where":[{"field":"id","op":"gt","value":true}]}`, `{"limit":-1}`, `{"limit":1001}`, `{"where":7}`,
	} {
		assert.Equal(t, http.StatusBadRequest, x.do(t, "POST", "/v1/agents/query", body, nil), body)
	}
}

func TestListAndCountByParameters(t *testing.T) {
	x := start(t, "", nil, nil)
	for _, id := range []string{"a", "b", "c"} {
		require.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/"+id, `{"labels":{"n":"1"},"metadata":{"n":1,"s":"1"}}`, "", nil))
	}
	var p page
	require.Equal(t, http.StatusOK, x.do(t, "GET", "/v1/agents?limit=2&labels.n=1", "", &p))
	assert.Len(t, p.Agents, 2)
	assert.Equal(t, 3, p.Total)
	next := p.Next
	p = page{}
	require.Equal(t, http.StatusOK, x.do(t, "GET", "/v1/agents?limit=2&after="+next, "", &p))
	require.Len(t, p.Agents, 1)
	assert.Equal(t, "c", p.Agents[0].ID)
	assert.Empty(t, p.Next)
	for path, want := range map[string]int{"": 3, "?metadata.n=1": 3, "?metadata.s=1": 3, "?labels.n=2": 0, "?state=up&id=b": 1, "?pid=1": 0} {
		var n struct{ Count int }
		require.Equal(t, http.StatusOK, x.do(t, "GET", "/v1/agents/count"+path, "", &n), path)
		assert.Equal(t, want, n.Count, path)
	}
	assert.Equal(t, http.StatusBadRequest, x.do(t, "GET", "/v1/agents?limit=0", "", nil))
	assert.Equal(t, http.StatusBadRequest, x.do(t, "GET", "/v1/agents?zone=eu", "", nil))
}

func TestMergePatch(t *testing.T) { // the examples of RFC 7396, appendix A, whose target is an object
	for _, test := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		var target, changes, want map[string]any
		for i, v := range []*map[string]any{&target, &changes, &want} {
			require.NoError(t, json.Unmarshal([]byte(test[i]), v))
		}
		assert.Equal(t, want, mergePatch(target, changes), test)
	}
}

func FuzzQuery(f *testing.F) {
	f.Add(`{"where":[{"field":"labels.a","op":"in","value":["b"]}],"limit":3}`, "labels.a=b&limit=2")
	f.Add(`{"where":[{"field":["metadata","a"],"op":"gt","value":1}]}`, "metadata.a.b=1&after=x")
	f.Fuzz(func(t *testing.T, body, params string) {
		all := func() []*agents.Agent {
			return []*agents.Agent{{ID: "a", Labels: map[string]string{"a": "b"}, Metadata: map[string]any{"a": 2.0}}, {ID: "b"}}
		}
		var q query
		if decode(stringBody(body), false, &q) == nil && q.check() == nil {
			p := find(all(), q)
			require.LessOrEqual(t, len(p.Agents), p.Total)
		}
		if values, err := url.ParseQuery(params); err == nil {
			if q, err := queryOf(values); err == nil {
				find(all(), q)
			}
		}
	})
}
