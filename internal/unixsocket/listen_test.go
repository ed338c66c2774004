package unixsocket

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/foundation-agent/foundation-agent/internal/proc"
)

// A test that needs another process runs this binary with the socket's path in this variable.
const childSocket = "UNIXSOCKET_TEST_LISTEN"

func TestMain(m *testing.M) {
	if path := os.Getenv(childSocket); path != "" {
		l, err := Listen(Config{Path: path, Mode: 0o600, DirMode: 0o700})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("listening")
		for {
			if conn, err := l.Accept(); err == nil {
				_ = conn.Close()
			}
		}
	}
	goleak.VerifyTestMain(m)
}

// startListener starts a process that listens on path, and returns when it does.
func startListener(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childSocket+"="+path)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "listening\n", line)
	return cmd
}

func listen(t *testing.T, c Config) net.Listener {
	t.Helper()
	l, err := Listen(c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func config(t *testing.T) Config {
	return Config{Path: filepath.Join(t.TempDir(), "run", "app.sock"), Mode: 0o660, DirMode: 0o750}
}

func TestModesAndGroup(t *testing.T) {
	old := unix.Umask(0) // the widest: nothing is right by luck
	defer unix.Umask(old)
	c := config(t)
	c.Group = fmt.Sprint(os.Getgid())
	l := listen(t, c)
	assert.Equal(t, c.Path, l.Addr().String())

	info, err := os.Stat(c.Path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o660), info.Mode().Perm())
	assert.EqualValues(t, os.Getgid(), info.Sys().(*syscall.Stat_t).Gid)

	dir, err := os.Stat(filepath.Dir(c.Path))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o750), dir.Mode().Perm())
}

func TestSocketIsClosedToAllUntilItIsOwned(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := listenClosed(path)
	require.NoError(t, err)
	defer l.Close()
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0), info.Mode().Perm())
}

func TestSocketThatCannotBeOwnedIsTakenAway(t *testing.T) {
	c := config(t)
	c.Group = "no-such-group-here"
	_, err := Listen(c)
	require.ErrorContains(t, err, "no-such-group-here")
	assert.NoFileExists(t, c.Path)
	listen(t, Config{Path: c.Path, Mode: 0o600, DirMode: 0o700})
}

func TestStaleSocketOfAKilledProcessIsReplaced(t *testing.T) {
	c := config(t)
	child := startListener(t, c.Path)
	require.NoError(t, child.Process.Kill())
	_ = child.Wait()
	require.FileExists(t, c.Path, "kill -9 leaves the file")

	listen(t, c)
	conn, err := net.Dial("unix", c.Path)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestLiveSocketIsNeverStolen(t *testing.T) {
	c := config(t)
	startListener(t, c.Path)
	_, err := Listen(c)
	require.ErrorContains(t, err, c.Path)
	require.ErrorContains(t, err, "another process listens here")

	conn, err := net.Dial("unix", c.Path)
	require.NoError(t, err, "the other still listens")
	require.NoError(t, conn.Close())
}

func TestLiveSocketWithoutOurLockIsNeverStolen(t *testing.T) {
	c := config(t)
	require.NoError(t, os.MkdirAll(filepath.Dir(c.Path), 0o700))
	other, err := net.Listen("unix", c.Path)
	require.NoError(t, err)
	defer other.Close()
	_, err = Listen(c)
	require.ErrorContains(t, err, "another process listens here")
	assert.FileExists(t, c.Path)
}

func TestFileThatIsNoSocketIsLeftAlone(t *testing.T) {
	c := config(t)
	require.NoError(t, os.MkdirAll(filepath.Dir(c.Path), 0o700))
	require.NoError(t, os.WriteFile(c.Path, []byte("precious"), 0o600))
	_, err := Listen(c)
	require.ErrorContains(t, err, "is no socket")
	content, err := os.ReadFile(c.Path)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(content))
}

func TestCloseRemovesTheSocketAndFreesTheLock(t *testing.T) {
	c := config(t)
	for range 3 {
		l, err := Listen(c)
		require.NoError(t, err)
		_, err = Listen(c)
		require.ErrorContains(t, err, "another process listens here")
		require.NoError(t, l.Close())
		assert.NoFileExists(t, c.Path)
	}
}

func TestPathThatIsTooLongIsRefusedWithItsLength(t *testing.T) {
	_, err := Listen(Config{Path: "/" + strings.Repeat("x", maxPath), Mode: 0o600, DirMode: 0o700})
	require.ErrorContains(t, err, "at most 107")
}

func TestPeerIsTheProcessAtTheOtherEnd(t *testing.T) {
	c := config(t)
	l := listen(t, c)
	peers := make(chan Peer, 1)
	server := &http.Server{ConnContext: ConnContext, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		peer, ok := PeerOf(r.Context())
		if ok {
			peers <- peer
		}
	})}
	go func() { _ = server.Serve(l) }()
	defer func() { require.NoError(t, server.Close()) }()

	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.Path)
		}}}
	answer, err := client.Get("http://unix/")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	own, err := proc.Identify(int32(os.Getpid()))
	require.NoError(t, err)
	assert.Equal(t, Peer{PID: int32(os.Getpid()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Start: own.Start}, <-peers)
}

func TestTCPHasNoPeer(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	_, ok := PeerOf(ConnContext(t.Context(), ours))
	assert.False(t, ok)
}
