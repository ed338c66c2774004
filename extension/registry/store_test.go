package registry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
)

// kept is what of an agent a restart must not change.
func kept(all []*agents.Agent) map[string]agents.Agent {
	m := map[string]agents.Agent{}
	for _, a := range all {
		m[a.ID] = agents.Agent{ID: a.ID, Instance: a.Instance, Labels: a.Labels, Lease: a.Lease, Via: a.Via}
	}
	return m
}

// After any sequence of operations a restart gives the same table, and proves the same owners.
func TestRestartKeepsTheTable(t *testing.T) {
	dir := t.TempDir()
	x := start(t, dir, nil, nil)
	tokens := map[string]string{}
	rapid.Check(t, func(rt *rapid.T) {
		ids := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		values := rapid.StringN(0, 5, 20)
		for range rapid.IntRange(1, 20).Draw(rt, "operations") {
			id := ids.Draw(rt, "id")
			c := caller{via: viaTCP, Caller: door.Caller{Token: tokens[id]}}
			switch v := values.Draw(rt, "value"); rapid.IntRange(0, 3).Draw(rt, "operation") {
			case 0, 1:
				if done, err := x.register(c, id, registration{Labels: map[string]string{"v": v}}); err == nil && done.Token != "" {
					tokens[id] = done.Token
				}
			case 2:
				_, _ = x.update(c, id, patch{Labels: map[string]*string{"v": &v}})
			case 3:
				_ = x.unregister(c, id, v)
			}
		}
		if rapid.IntRange(0, 9).Draw(rt, "restart") > 0 {
			return
		}
		before, downs := kept(x.all()), len(x.hub.downs(x.now()))
		x.stop()
		x = start(t, dir, nil, nil)
		require.Equal(t, before, kept(x.all()))
		require.Equal(t, downs, len(x.hub.downs(x.now())))
		for id := range before {
			require.True(t, x.Proves(door.Caller{Token: tokens[id]}, id))
		}
	})
}

// Nothing of a token or of what it could be guessed from is on disk.
func TestTokensAreNotStored(t *testing.T) {
	dir := t.TempDir()
	x := start(t, dir, nil, nil)
	var done registered
	require.Equal(t, 201, x.doTCP(t, "PUT", "/v1/agents/far", `{}`, "", &done))
	x.stop()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		assert.True(t, strings.Contains(string(b), `"far"`))
		assert.False(t, strings.Contains(string(b), done.Token))
	}
}
