package registry

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

// sse reads a stream of events.
type sse struct {
	events chan agents.Event
	ended  chan struct{}
	cancel context.CancelFunc
	status int
}

func (x *running) stream(t *testing.T, read bool) *sse { return openStream(t, x.client, read) }

// openStream opens one; unless it is read, nothing is taken from it.
func openStream(t *testing.T, client *http.Client, read bool) *sse {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/v1/agents/watch", nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	s := &sse{events: make(chan agents.Event, 10_000), ended: make(chan struct{}), cancel: cancel, status: resp.StatusCode}
	go func() {
		defer close(s.ended)
		defer resp.Body.Close()
		if !read {
			<-ctx.Done()
			return
		}
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var e agents.Event
				if json.Unmarshal([]byte(data), &e) == nil {
					s.events <- e
				}
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-s.ended
	})
	return s
}

func TestStreamReplaysAndFollows(t *testing.T) {
	x := start(t, "", nil, nil)
	c := startChild(t, x.socket, "here", nil)
	gone := startChild(t, x.socket, "gone", nil)
	events := x.see(t)
	require.NoError(t, gone.cmd.Process.Kill())
	events.next(t, agents.EventDown)

	s := x.stream(t, true)
	assert.Equal(t, http.StatusOK, s.status)
	e := receive(t, s.events)
	assert.Equal(t, agents.EventRegistered, e.Type)
	assert.True(t, e.Replay)
	assert.Equal(t, "here", e.Agent.ID)
	e = receive(t, s.events)
	assert.Equal(t, agents.EventDown, e.Type)
	assert.True(t, e.Replay)
	assert.Equal(t, "gone", e.Down.AgentID)
	assert.Equal(t, agents.EventSynced, receive(t, s.events).Type)

	c.call(t, "POST", "/v1/agents/here/down", `{"process":"<0.1.0>","reason":"{:badmatch, 1}"}`)
	e = receive(t, s.events)
	assert.Equal(t, agents.EventProcessDown, e.Type)
	assert.Equal(t, "<0.1.0>", e.Down.Process)
	assert.Equal(t, agents.ReasonProcessDown, e.Down.Reason)
	assert.False(t, e.Down.Normal)
	require.NoError(t, c.cmd.Process.Kill())
	e = receive(t, s.events)
	assert.Equal(t, agents.EventDown, e.Type)
	assert.Equal(t, "SIGKILL", e.Down.Signal)

	x.stop() // the stream ends
	<-s.ended
}

func TestWatcherThatDoesNotReadIsDisconnected(t *testing.T) {
	x := start(t, "", nil, func(c *Config) { c.Limits.WatcherBuffer = 8 })
	var done registered
	require.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/busy", `{}`, "", &done))
	idle := x.stream(t, false)
	require.Equal(t, http.StatusOK, idle.status)
	body := `{"metadata":{"x":"` + strings.Repeat("x", 10_000) + `"}}`
	require.Eventually(t, func() bool {
		start := time.Now()
		require.Equal(t, http.StatusOK, x.doTCP(t, "PATCH", "/v1/agents/busy", body, done.Token, nil))
		assert.Less(t, time.Since(start), time.Second, "a writer waits for no watcher")
		return x.hub.kicks.Load() == 1
	}, 20*time.Second, time.Microsecond)
	require.Eventually(t, func() bool { return x.tally.streams.Load() == 0 }, 20*time.Second, 10*time.Millisecond)
}

func TestWatchersAreBounded(t *testing.T) {
	x := start(t, "", nil, func(c *Config) { c.Limits.MaxWatchersPerUID = 2 })
	first := x.stream(t, true)
	require.Equal(t, http.StatusOK, x.stream(t, true).status)
	require.Equal(t, http.StatusTooManyRequests, x.stream(t, true).status)
	first.cancel()
	require.Eventually(t, func() bool { return x.stream(t, true).status == http.StatusOK }, 10*time.Second, 10*time.Millisecond)
}

func TestManyDeathsAreToldPaced(t *testing.T) {
	const agentsOfOne = 1000
	x := start(t, t.TempDir(), nil, func(c *Config) { c.Downs.PerSecond = 500 })
	c := startChild(t, x.socket, "a0000", nil)
	for i := 1; i < agentsOfOne; i++ {
		require.Equal(t, http.StatusCreated, c.call(t, "PUT", fmt.Sprintf("/v1/agents/a%04d", i), "").Status)
	}
	events := x.see(t)
	var bystander registered
	require.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/bystander", `{}`, "", &bystander))
	events.next(t, agents.EventRegistered)
	killed := time.Now()
	require.NoError(t, c.cmd.Process.Kill())
	events.next(t, agents.EventDown)
	firstTold := time.Since(killed)
	require.Eventually(t, func() bool { return x.byID.Len() == 1 }, time.Second, time.Millisecond, "the table knows at once")

	before := time.Now()
	require.Equal(t, http.StatusOK, x.doTCP(t, "POST", "/v1/agents/bystander/heartbeat", ``, bystander.Token, nil))
	require.Equal(t, http.StatusNotFound, x.do(t, "GET", "/v1/agents/a0500", "", nil))
	assert.Less(t, time.Since(before), 500*time.Millisecond, "nobody else waits")

	for range agentsOfOne - 1 {
		events.next(t, agents.EventDown)
	}
	lastTold := time.Since(killed)
	assert.Greater(t, lastTold, 1500*time.Millisecond, "paced")
	t.Logf("%d deaths at once: first told after %v, last after %v", agentsOfOne, firstTold, lastTold)
}

func TestUntoldDeathIsToldBeforeTheNextLife(t *testing.T) {
	x := start(t, "", nil, func(c *Config) { c.Downs.PerSecond = 1 })
	c := startChild(t, x.socket, "a", nil)
	for _, id := range []string{"b", "c"} {
		require.Equal(t, http.StatusCreated, c.call(t, "PUT", "/v1/agents/"+id, "").Status)
	}
	events := x.see(t)
	require.NoError(t, c.cmd.Process.Kill())
	events.next(t, agents.EventDown)
	require.Equal(t, http.StatusCreated, x.doTCP(t, "PUT", "/v1/agents/c", `{}`, "", nil))
	assert.Equal(t, "c", events.next(t, agents.EventDown).Down.AgentID, "out of its turn")
	assert.Equal(t, "c", events.next(t, agents.EventRegistered).Agent.ID)
	assert.Equal(t, "b", events.next(t, agents.EventDown).Down.AgentID)
}

func TestSlowWatcherInProcessDelaysOnlyItself(t *testing.T) {
	x := start(t, "", nil, nil)
	release := make(chan struct{})
	var slow []string
	stopSlow := x.WatchDowns(func(d agents.Down) {
		<-release
		slow = append(slow, d.AgentID)
	})
	events := x.see(t)
	for i := range 3 {
		c := startChild(t, x.socket, fmt.Sprint("a", i), nil)
		require.NoError(t, c.cmd.Process.Kill())
		events.next(t, agents.EventDown)
	}
	close(release)
	var waited sync.WaitGroup
	all := make(chan agents.Down, 3)
	waited.Go(x.WatchDowns(func(d agents.Down) { all <- d })) // stops at once: what it was told is a prefix
	waited.Wait()
	require.Eventually(t, func() bool { return x.hub.backlog() == 0 }, 10*time.Second, time.Millisecond)
	stopSlow()
	assert.Subset(t, []string{"a0", "a1", "a2"}, slow)
}
