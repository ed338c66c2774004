package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"
	"golang.org/x/sys/unix"
)

// stateDirs are the directories of the file_storage extensions that the service runs.
func stateDirs(conf *confmap.Conf) []string {
	var dirs []string
	running, _ := conf.Get("service::extensions").([]any)
	for _, id := range running {
		name := fmt.Sprint(id)
		if name != "file_storage" && !strings.HasPrefix(name, "file_storage/") {
			continue
		}
		if dir, ok := conf.Get("extensions::" + name + "::directory").(string); ok {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// lockStateDir makes this process the only writer of a state directory. While another agent is, it says so
// and waits. The lock ends with the process, however it ends.
func lockStateDir(ctx context.Context, dir string, out io.Writer) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	path := filepath.Join(dir, ".lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	told := false
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if !told {
			told = true
			owner, _ := os.ReadFile(path) // only to be told
			fmt.Fprintf(out, "Waiting: the state directory %s belongs to a running agent (pid %s).\n", dir, owner)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(100 * time.Millisecond): // flock has no wait that a context ends
		}
	}
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

func writePID(f *os.File) error {
	_, err := f.WriteAt(fmt.Appendf(nil, "%d", os.Getpid()), 0)
	return err
}
