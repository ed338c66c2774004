package registry

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/flag"
)

// switchable is a flag provider with one flag.
type switchable struct {
	component.StartFunc
	component.ShutdownFunc
	on atomic.Bool

	mu  sync.Mutex
	fns []func(bool)
}

func (s *switchable) Bind(name string) (flag.Handle, error) {
	if name != defaultFlag {
		return nil, fmt.Errorf("no flag %q", name)
	}
	return s, nil
}
func (s *switchable) Name() string  { return defaultFlag }
func (s *switchable) Enabled() bool { return s.on.Load() }
func (s *switchable) OnChange(fn func(bool)) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fns = append(s.fns, fn)
	return func() {}
}

func (s *switchable) set(on bool) {
	s.on.Store(on)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fn := range s.fns {
		fn(on)
	}
}

func TestOffRecordsInShadow(t *testing.T) {
	flags := &switchable{}
	x := start(t, "", flags, nil)
	downs := make(chan agents.Down, 1)
	t.Cleanup(x.WatchDowns(func(d agents.Down) { downs <- d }))
	c := startChild(t, x.socket, "worker", map[string]any{"endpoint": ":9464"})
	require.Equal(t, http.StatusCreated, c.registered.Status)
	assert.Contains(t, string(c.registered.Body), `"shadow":true`)
	for _, read := range []struct{ method, path string }{
		{"GET", "/v1/agents/worker"}, {"GET", "/v1/agents"}, {"GET", "/v1/agents/count"},
		{"POST", "/v1/agents/query"}, {"GET", "/v1/agents/watch"}, {"GET", "/v1/agents/downs"},
	} {
		var e struct{ Error door.Error }
		assert.Equal(t, http.StatusConflict, x.do(t, read.method, read.path, "", &e), read)
		assert.Equal(t, "registry_disabled", e.Error.Code, read)
	}
	_, err := x.Get("worker")
	assert.ErrorIs(t, err, agents.ErrDisabled)
	assert.Empty(t, x.ListEndpoints())
	var i info
	require.Equal(t, http.StatusOK, x.do(t, "GET", "/v1/agents/info", "", &i))
	assert.False(t, i.Enabled)
	assert.Equal(t, 1, i.Entries)
	assert.Equal(t, int64(1), i.ShadowWrites)
	assert.Equal(t, int64(6), i.ShadowReads)

	flags.set(true)
	assert.Equal(t, http.StatusOK, x.do(t, "GET", "/v1/agents/worker", "", nil), "on at once, with what was recorded")
	assert.Len(t, x.ListEndpoints(), 1)
	s := x.stream(t, true)
	assert.Equal(t, agents.EventRegistered, receive(t, s.events).Type)
	flags.set(false)
	<-s.ended
	require.NoError(t, c.cmd.Process.Kill())
	assert.Equal(t, "worker", receive(t, downs).AgentID, "deaths are told, flag or no flag")
}

func TestUnknownFlagFailsAtStart(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Flags, cfg.Flag = &flagsID, "other"
	x := newForTest(t, cfg)
	err := x.Start(context.Background(), extensions{flagsID: &switchable{}})
	assert.ErrorContains(t, err, `"other"`)
	require.NoError(t, x.Shutdown(context.Background()))
	cfg.Flags = &storageID
	x = newForTest(t, cfg)
	assert.ErrorContains(t, x.Start(context.Background(), extensions{}), "file_storage")
	require.NoError(t, x.Shutdown(context.Background()))
}
