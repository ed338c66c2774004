// This file waits for the ends of many processes with one goroutine.

package proc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// Watcher tells of the end of each process that it watches, by pidfds in one epoll set and one
// goroutine. Safe for concurrent use.
type Watcher struct {
	epoll int
	wake  int // an eventfd: Close writes to it
	done  chan struct{}

	mu      sync.Mutex
	watched map[uint64]*watched
	last    uint64 // key of the latest; a descriptor's number would be reused
	closed  bool
}

type watched struct {
	Process
	onExit func(Exit)
}

const wakeKey = 0

// NewWatcher starts a watcher. The error says why this system cannot have one.
func NewWatcher() (*Watcher, error) {
	if err := Supported(); err != nil {
		return nil, err
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		closeFD(epoll)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	w := &Watcher{epoll: epoll, wake: wake, done: make(chan struct{}), watched: map[uint64]*watched{}}
	if err := w.add(wake, wakeKey); err != nil {
		closeFD(wake)
		closeFD(epoll)
		return nil, err
	}
	go w.loop()
	return w, nil
}

// Watch calls onExit once when p ends, from the watcher's goroutine, unless stop is called before. It
// takes p over. ok is false, and p is closed, where p has no pidfd to wait on.
func (w *Watcher) Watch(p *Process, onExit func(Exit)) (stop func(), ok bool) {
	if p.fd < 0 {
		return nil, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		p.Close()
		return nil, false
	}
	w.last++
	key := w.last
	if err := w.add(p.fd, key); err != nil {
		p.Close()
		return nil, false
	}
	w.watched[key] = &watched{Process: *p, onExit: onExit}
	return func() {
		if gone := w.take(key); gone != nil {
			gone.Close()
		}
	}, true
}

// Close stops the goroutine and lets all processes go. It must not be called from onExit.
func (w *Watcher) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	_, _ = unix.Write(w.wake, binary.NativeEndian.AppendUint64(nil, 1)) // an eventfd of our own takes it
	<-w.done
	for _, p := range w.watched {
		p.Close()
	}
	closeFD(w.wake)
	closeFD(w.epoll)
}

// add waits for fd. epoll(7) keeps 64 bits with it, which the Go type shows as two halves.
func (w *Watcher) add(fd int, key uint64) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(uint32(key)), Pad: int32(uint32(key >> 32))}
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (w *Watcher) take(key uint64) *watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.watched[key]
	delete(w.watched, key)
	return p
}

func (w *Watcher) loop() {
	defer close(w.done)
	events := make([]unix.EpollEvent, 128)
	for {
		n, err := unix.EpollWait(w.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("proc: epoll_wait: %v", err)) // only a bad descriptor of our own can cause it
		}
		for _, ev := range events[:max(n, 0)] {
			key := uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
			if key == wakeKey {
				return
			}
			if p := w.take(key); p != nil {
				exit := exitOf(p.fd, p.Identity)
				p.Close()
				p.onExit(exit)
			}
		}
	}
}
