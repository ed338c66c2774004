package chaos

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
)

// agentIn is a registered agent: where its calls go, and the token that proves that they are its own.
type agentIn struct{ url, token string }

// register makes n agents known by the applications' door, with a lease each.
func (t *trial) register(n int, lease time.Duration) []agentIn {
	agents := make([]agentIn, n)
	for i := range agents {
		a := &agents[i]
		a.url = fmt.Sprintf("http://%s/v1/agents/agent-%d", t.agent.Door, i)
		resp, err := a.call(http.MethodPut, "", fmt.Sprintf(`{"lease":%q}`, lease))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, resp.StatusCode)
		var answer struct{ Token string }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
		require.NoError(t, resp.Body.Close())
		a.token = answer.Token
	}
	return agents
}

func (a *agentIn) call(method, path, body string) (*http.Response, error) {
	req, err := http.NewRequest(method, a.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if a.token != "" {
		req.Header.Set("Foundation-Agent-Token", a.token)
	}
	return http.DefaultClient.Do(req)
}

// beat sends the agents' heartbeats until stop is called. While the agent is frozen they wait in its sockets.
func (t *trial) beat(agents []agentIn, every time.Duration) (stop func()) {
	const workers = 4
	end := make(chan struct{})
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				for i := worker; i < len(agents); i += workers {
					resp, err := agents[i].call(http.MethodPost, "/heartbeat", "{}")
					if err != nil {
						continue // a beat that is missed
					}
					if resp.StatusCode != http.StatusOK {
						t.Errorf("a heartbeat was answered %s", resp.Status)
					}
					_ = resp.Body.Close()
				}
				select {
				case <-tick.C:
				case <-end:
					return
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { close(end); wg.Wait() })
	t.Cleanup(stop)
	return stop
}
