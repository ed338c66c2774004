// Package unixsocket listens on unix sockets as a long-lived agent must: mode and group are set
// before anyone can connect, a stale file of a killed process is no obstacle, and a live one is
// never stolen. It tells who is at the other end.
package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foundation-agent/foundation-agent/internal/proc"
)

// Config says where and for whom a socket is.
type Config struct {
	// Path of the socket. Its directory is created where absent, with DirMode.
	Path string
	// DirMode of a directory that has to be created.
	DirMode os.FileMode
	// Mode of the socket: who may connect.
	Mode os.FileMode
	// Group owning the socket, by name or number; "" leaves the process's own.
	Group string
}

// maxPath is what sun_path holds beside its end (unix(7)).
const maxPath = 107

// dialTimeout bounds the question whether somebody answers on an existing socket.
const dialTimeout = time.Second

// Listen listens on c.Path. A stale socket is replaced only after a failed dial, under a file lock
// that the listener keeps until it is closed; a live one is an error that names it.
func Listen(c Config) (net.Listener, error) {
	if len(c.Path) > maxPath {
		return nil, fmt.Errorf("%s: %d bytes are too many for the path of a socket; at most %d are allowed", c.Path, len(c.Path), maxPath)
	}
	if err := os.MkdirAll(filepath.Dir(c.Path), c.DirMode); err != nil {
		return nil, fmt.Errorf("socket directory: %w", err)
	}
	lock, err := lockFile(c.Path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Path, err)
	}
	l, err := listenLocked(c)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &listener{Listener: l, lock: lock}, nil
}

// lockFile takes an exclusive lock. The file stays: removing it would let two holders in.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another process listens here: %w", err), f.Close())
	}
	return f, nil
}

func listenLocked(c Config) (net.Listener, error) {
	if err := removeStale(c.Path); err != nil {
		return nil, err
	}
	l, err := listenClosed(c.Path)
	if err != nil {
		return nil, err
	}
	if err := own(c.Path, c); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// listenClosed listens where nobody may connect yet: the file that bind makes has the mode that the
// unbound socket has (less the umask), so there is no instant at which it is open to all.
func listenClosed(path string) (net.Listener, error) {
	closed := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var chmodErr error
		err := raw.Control(func(fd uintptr) { chmodErr = unix.Fchmod(int(fd), 0) })
		return errors.Join(err, chmodErr)
	}}
	return closed.Listen(context.Background(), "unix", path)
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is no socket: remove it or choose another path", path)
	}
	conn, err := net.DialTimeout("unix", path, dialTimeout)
	if err == nil {
		return errors.Join(fmt.Errorf("%s: another process listens here", path), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s: cannot tell whether another process listens here: %w", path, err)
	}
	return os.Remove(path)
}

func own(path string, c Config) error {
	if c.Group != "" {
		gid, err := groupID(c.Group)
		if err != nil {
			return err
		}
		if err := os.Chown(path, -1, gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, c.Mode)
}

func groupID(name string) (int, error) {
	if gid, err := strconv.Atoi(name); err == nil {
		return gid, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("group %q: %w", name, err)
	}
	return strconv.Atoi(g.Gid)
}

// listener removes its socket when it closes, then lets the lock go.
type listener struct {
	net.Listener
	lock *os.File
}

func (l *listener) Close() error { return errors.Join(l.Listener.Close(), l.lock.Close()) }

// Peer is the process at the other end of a unix socket when it connected, by SO_PEERCRED (unix(7)).
type Peer struct {
	PID      int32
	UID, GID uint32
	// Start tells this life of PID from a later one (proc.Identity), 0 where it cannot be told.
	Start uint64
}

type peerKey struct{}

// ConnContext is an http.Server's ConnContext: it keeps the peer of unix connections in the context.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return ctx
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || credErr != nil {
		return ctx
	}
	peer := Peer{PID: cred.Pid, UID: cred.Uid, GID: cred.Gid}
	if id, err := proc.Identify(cred.Pid); err == nil {
		peer.Start = id.Start
	}
	return context.WithValue(ctx, peerKey{}, peer)
}

// PeerOf returns the peer of the unix connection that a request came over, and whether it came over one.
func PeerOf(ctx context.Context) (Peer, bool) {
	p, ok := ctx.Value(peerKey{}).(Peer)
	return p, ok
}
