package bench

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/load"
)

// profile keeps a CPU profile of two seconds under the scenario's load in build/bench.
func profile(t *testing.T, s scenario, c contender) {
	l := begin(t, c, nil)
	halt, done := make(chan struct{}), make(chan error, 1)
	source := s.sources(t)
	go func() {
		_, err := load.Run(t.Context(), source[0], load.Options{Endpoint: l.endpoint, Halt: halt, Retry: true})
		done <- err
	}()
	resp, err := http.Get("http://" + l.pprof + "/debug/pprof/profile?seconds=2")
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	close(halt)
	require.NoError(t, <-done)
	dir := filepath.Join(agenttest.Root(), "build", "bench")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	file := filepath.Join(dir, strings.NewReplacer(" ", "-", ",", "").Replace(s.name+"-"+c.name)+".pprof")
	require.NoError(t, os.WriteFile(file, data, 0o644))
	t.Logf("profile in %s", file)
}
