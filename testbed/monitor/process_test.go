package monitor

import (
	"net"
	"net/http"
	_ "net/http/pprof" // what is read
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProcess(t *testing.T) {
	pid := os.Getpid()
	before, err := CPU(pid)
	require.NoError(t, err)
	for begun := time.Now(); time.Since(begun) < 200*time.Millisecond; {
	}
	after, err := CPU(pid)
	require.NoError(t, err)
	require.Greater(t, after, before)
	m, err := MemoryOf(pid)
	require.NoError(t, err)
	require.Positive(t, m.Own)
	require.Greater(t, m.Resident, m.Own)
	require.GreaterOrEqual(t, m.Peak, m.Resident)
	open, err := Descriptors(pid)
	require.NoError(t, err)
	f, err := os.Open("/dev/null")
	require.NoError(t, err)
	defer f.Close()
	more, err := Descriptors(pid)
	require.NoError(t, err)
	require.Equal(t, open+1, more)
	for _, gone := range []func(int) error{
		func(pid int) error { _, err := CPU(pid); return err },
		func(pid int) error { _, err := MemoryOf(pid); return err },
		func(pid int) error { _, err := Descriptors(pid); return err },
	} {
		require.Error(t, gone(1<<30))
	}
}

func TestPprof(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{} // pprof is on the default mux
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	ballast := make([]byte, 64<<20)
	heap, err := LiveHeap(l.Addr().String())
	require.NoError(t, err)
	require.Greater(t, heap, int64(len(ballast)))
	runtime.KeepAlive(ballast)
	n, err := Goroutines(l.Addr().String())
	require.NoError(t, err)
	require.Positive(t, n)
}
