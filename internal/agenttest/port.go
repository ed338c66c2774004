package agenttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// reserved are the lock files of the ports that this process has given out; they are held until it ends, so
// that no other test takes a port between its choice and the agent's listening.
var reserved struct {
	sync.Mutex
	locks []*os.File
}

// FreePort returns a TCP port of loopback that nobody listens on, and that no other test, in this process or
// another, was given. It lies below those that the kernel gives to outgoing connections.
func FreePort(t testing.TB) int {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "foundation-agent-test-ports")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	reserved.Lock()
	defer reserved.Unlock()
	for {
		port := 10_000 + rand.IntN(22_000)
		lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
		require.NoError(t, err)
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || !free(port) {
			require.NoError(t, lock.Close())
			continue
		}
		reserved.locks = append(reserved.locks, lock)
		return port
	}
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	return err == nil && l.Close() == nil
}
