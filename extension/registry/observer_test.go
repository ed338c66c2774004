package registry

import (
	"net/http"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/observer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// notify is a subscriber, as receiver_creator is.
type notify struct{ added, removed, changed chan observer.Endpoint }

func (*notify) ID() observer.NotifyID             { return "test" }
func (n *notify) OnAdd(es []observer.Endpoint)    { send(n.added, es) }
func (n *notify) OnRemove(es []observer.Endpoint) { send(n.removed, es) }
func (n *notify) OnChange(es []observer.Endpoint) { send(n.changed, es) }

func send(to chan observer.Endpoint, es []observer.Endpoint) {
	for _, e := range es {
		to <- e
	}
}

func TestObserverPresentsEndpoints(t *testing.T) {
	x := start(t, "", nil, nil)
	c := startChild(t, x.socket, "scraped", map[string]any{"endpoint": ":9464", "labels": map[string]string{"scrape": "yes"}})
	startChild(t, x.socket, "without", nil)
	n := &notify{make(chan observer.Endpoint, 9), make(chan observer.Endpoint, 9), make(chan observer.Endpoint, 9)}
	x.ListAndWatch(n)
	defer x.Unsubscribe(n)
	e := receive(t, n.added)
	env, err := e.Env()
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1:9464", env["endpoint"])
	assert.Equal(t, "hostport", env["type"])
	assert.Equal(t, "scraped", env["agent_id"])
	assert.Equal(t, map[string]string{"scrape": "yes"}, env["labels"])

	require.Equal(t, http.StatusOK, c.call(t, "POST", "/v1/agents/scraped/heartbeat", `{"vitals":{"x":1}}`).Status)
	require.Equal(t, http.StatusOK, c.call(t, "PATCH", "/v1/agents/scraped", `{"labels":{"scrape":"no"}}`).Status)
	changed := receive(t, n.changed)
	assert.Equal(t, e.ID, changed.ID)
	assert.Empty(t, n.changed, "a beat is no change")
	require.NoError(t, c.cmd.Process.Kill())
	assert.Equal(t, e.ID, receive(t, n.removed).ID)
}
