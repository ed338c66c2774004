package foundation

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// entry is what the agent registry says of an agent.
type entry struct {
	State  string
	PID    int
	Labels map[string]string
	Vitals map[string]float64
}

func look(t *testing.T, c *Client, id string) (e entry, err error) {
	t.Helper()
	err = c.json(t.Context(), http.MethodGet, "/v1/agents/"+id, nil, &e)
	return e, err
}

func TestRegistration(t *testing.T) {
	agent := agenttest.Start(t, agenttest.Options{})
	for _, endpoint := range []string{"unix:" + agent.Socket(), "http://" + agent.Door} {
		c := newClient(t, endpoint)
		beats := 0.0
		self, err := c.Register(t.Context(), "shop", Registration{Labels: map[string]string{"tier": "web"}, Lease: 3 * time.Second,
			Vitals: func() map[string]float64 { beats++; return map[string]float64{"beats": beats} }})
		require.NoError(t, err, endpoint)
		assert.True(t, self.Registered())
		e, err := look(t, c, "shop")
		require.NoError(t, err)
		assert.Equal(t, "up", e.State)
		assert.Equal(t, map[string]string{"tier": "web"}, e.Labels)
		require.Eventually(t, func() bool { e, err := look(t, c, "shop"); return err == nil && e.Vitals["beats"] > 1 }, 10*time.Second, 10*time.Millisecond)
		require.NoError(t, self.ProcessDown(t.Context(), "worker-1", "crashed", false))

		_, err = c.Register(t.Context(), "other", Registration{})
		require.ErrorContains(t, err, "registered already")

		// The agent forgets: a heartbeat notices.
		require.NoError(t, c.json(t.Context(), http.MethodDelete, self.path(), nil, nil))
		require.Eventually(t, func() bool { _, err := look(t, c, "shop"); return err == nil }, 10*time.Second, 10*time.Millisecond)

		require.NoError(t, self.Unregister(t.Context(), "done"))
		_, err = look(t, c, "shop")
		var refused *Error
		require.ErrorAs(t, err, &refused, endpoint)
		assert.Equal(t, "not_found", refused.Code)
		assert.Empty(t, c.agentID())
		require.NoError(t, c.Close(t.Context()))
	}
}

func TestRegistrationThatIsRefused(t *testing.T) {
	f := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"error":{"code":"id_taken","message":"another process holds it"}}`))
	}))
	defer f.Close()
	c := newClient(t, f.URL)
	_, err := c.Register(t.Context(), "shop", Registration{})
	require.EqualError(t, err, "agent answered 409 id_taken: another process holds it")
	assert.Empty(t, c.agentID())
	require.NoError(t, c.Close(context.Background()))
	_, err = c.Register(t.Context(), "shop", Registration{})
	require.ErrorContains(t, err, "closed")
}

// An application that starts before its agent is registered when the agent is there.
func TestRegistrationWithAnAgentThatComesLater(t *testing.T) {
	state := t.TempDir()
	c := newClient(t, "unix:"+state+"/run/app.sock")
	self, err := c.Register(t.Context(), "shop", Registration{})
	require.NoError(t, err)
	assert.False(t, self.Registered())
	agenttest.Start(t, agenttest.Options{StateDir: state})
	require.Eventually(t, self.Registered, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, c.Close(t.Context()))
}
