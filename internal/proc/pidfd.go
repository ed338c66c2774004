// This file opens pidfds and reads from them how a process ended.

package proc

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Process is one life of a pid, held by a pidfd where the kernel gives one: while it is held, the pid
// cannot be mistaken for a later process. Watcher.Watch or Close must be called on it.
type Process struct {
	Identity
	fd int // -1 where no pidfd could be had
}

// Exit is how a process ended, as far as the kernel told.
type Exit struct {
	Known  bool
	Code   int    // where Known and Signal is ""
	Signal string // "SIGKILL"
}

// Open takes hold of the process that pid is now. Where no pidfd can be had (an old kernel, a seccomp
// filter, no descriptor left) the process is known by its identity alone, and Watched says so.
func Open(pid int32) (*Process, error) {
	fd, err := unix.PidfdOpen(int(pid), 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return nil, fmt.Errorf("pid %d: %w", pid, ErrGone)
	case err != nil:
		fd = -1
	}
	id, err := Identify(pid)
	switch {
	case fd < 0 && err != nil:
		return nil, err
	case fd >= 0 && exited(fd): // what was read by pid may be a later process's
		closeFD(fd)
		return nil, fmt.Errorf("pid %d: %w", pid, ErrGone)
	case err != nil: // it lives, and /proc hides it from us (hidepid)
		id = Identity{PID: pid, Boot: BootID()}
	}
	return &Process{Identity: id, fd: fd}, nil
}

// Supported tells why this system gives no pidfds, nil where it does.
func Supported() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return fmt.Errorf("pidfd_open: %w", err)
	}
	return unix.Close(fd)
}

// Close lets go of a process that is not watched.
func (p *Process) Close() {
	closeFD(p.fd)
	p.fd = -1
}

func closeFD(fd int) {
	if fd >= 0 {
		_ = unix.Close(fd) // nothing was written to it
	}
}

func exited(pidfd int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1
}

// exitOf reads how the exited process behind pidfd ended. A process that its parent has reaped tells by
// the pidfd itself (PIDFD_INFO_EXIT, Linux 6.15); a zombie tells in /proc, to those who may trace it.
func exitOf(pidfd int, id Identity) Exit {
	if e, ok := exitByInfo(pidfd); ok {
		return e
	}
	st, err := readStat(id.PID)
	if err == nil && st.start == id.Start && st.state == 'Z' && (st.exitCode != 0 || mayTrace(id.PID)) {
		return exitFrom(syscall.WaitStatus(st.exitCode))
	}
	e, _ := exitByInfo(pidfd) // reaped between the two
	return e
}

func exitByInfo(pidfd int) (Exit, bool) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if err := unix.IoctlPidfdInfo(pidfd, &info); err != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		return Exit{}, false
	}
	return exitFrom(syscall.WaitStatus(info.Exit_code)), true
}

// mayTrace reports whether the kernel shows us the exit code of a zombie: it shows 0 to others.
func mayTrace(pid int32) bool {
	euid := os.Geteuid()
	if euid == 0 {
		return true
	}
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == euid
}

func exitFrom(ws syscall.WaitStatus) Exit {
	if ws.Signaled() {
		return Exit{Known: true, Signal: unix.SignalName(ws.Signal())}
	}
	return Exit{Known: true, Code: ws.ExitStatus()}
}
