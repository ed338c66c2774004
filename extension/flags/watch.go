// This file reads the definition files and watches them: written in place, replaced by a rename, or
// swapped by a symlink anywhere on the way to them, as Kubernetes does with its mounts (..data).

package flags

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

// settle is how long the files must have been quiet before they are read: a writer may be half way.
const settle = 50 * time.Millisecond

// contents is what the files hold.
type contents struct {
	data [][]byte
	sum  [sha256.Size]byte
}

func readFiles(files []string) (contents, error) {
	c := contents{data: make([][]byte, len(files))}
	hash := sha256.New()
	for i, file := range files {
		data, err := readBounded(file)
		if err != nil {
			return contents{}, err
		}
		c.data[i] = data
		fmt.Fprintf(hash, "%d:", len(data))
		hash.Write(data)
	}
	hash.Sum(c.sum[:0])
	return c, nil
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, flagd.MaxFileBytes+1))
	if err != nil {
		return nil, err // names the file
	}
	return data, nil
}

func (c contents) parse(files []string) (*flagd.Set, error) {
	sets := make([]*flagd.Set, len(files))
	for i, file := range files {
		set, err := flagd.Parse(file, c.data[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		sets[i] = set
	}
	set := flagd.Merge(sets...)
	return set, checkDependencies(set)
}

// watcher calls changed when the files may hold something else.
type watcher struct {
	files   []string
	notify  *fsnotify.Watcher
	changed func()
	logger  *zap.Logger
}

func newWatcher(files []string, changed func(), logger *zap.Logger) (*watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching files: %w", err)
	}
	w := &watcher{files: files, notify: notify, changed: changed, logger: logger}
	if err := w.watch(); err != nil {
		return nil, errors.Join(err, notify.Close())
	}
	return w, nil
}

// watch watches the directories on the way to the files. Directories that are watched already stay so.
func (w *watcher) watch() error {
	for _, file := range w.files {
		dirs, err := directories(file)
		if err != nil {
			return fmt.Errorf("watching %s: %w", file, err)
		}
		for _, dir := range dirs {
			if err := w.notify.Add(dir); err != nil {
				return fmt.Errorf("watching %s: %w", dir, err)
			}
		}
	}
	return nil
}

// run calls changed, some time after the last of a run of events, until stop is closed.
func (w *watcher) run(stop <-chan struct{}) {
	quiet := time.NewTimer(0) // what changed between the first read and the watch
	defer quiet.Stop()
	for {
		select {
		case <-stop:
			return
		case <-w.notify.Events:
			quiet.Reset(settle)
		case err := <-w.notify.Errors: // events were lost, perhaps
			w.logger.Warn("Watching flag definitions", zap.Error(err))
			quiet.Reset(settle)
		case <-quiet.C:
			if err := w.watch(); err != nil {
				w.logger.Warn("Flag definitions are not watched", zap.Error(err))
			}
			w.changed()
		}
	}
}

func (w *watcher) close() error { return w.notify.Close() }

// maxLinks is how many symlinks a path may lead through, as in the kernel.
const maxLinks = 40

// directories are those whose change can change what path leads to: where each symlink on the way
// lies, and where the file lies in the end. Of what does not exist, the nearest directory that does.
func directories(path string) ([]string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for range maxLinks {
		dir, target, missing, err := firstLink(path)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, dir)
		if target == "" || missing {
			return dirs, nil
		}
		path = target
	}
	return nil, errors.New("too many symlinks")
}

// firstLink walks path to its first symlink: dir is where that lies, target where the path leads then.
// Without one, dir is the directory of the file and target is "".
func firstLink(path string) (dir, target string, missing bool, err error) {
	dir = string(filepath.Separator)
	parts := strings.Split(strings.TrimPrefix(filepath.Clean(path), dir), dir)
	for i, part := range parts {
		next := filepath.Join(dir, part)
		info, err := os.Lstat(next)
		if errors.Is(err, os.ErrNotExist) {
			return dir, "", true, nil
		}
		if err != nil {
			return "", "", false, err
		}
		if info.Mode()&os.ModeSymlink != 0 {
			to, err := os.Readlink(next)
			if err != nil {
				return "", "", false, err
			}
			if !filepath.IsAbs(to) {
				to = filepath.Join(dir, to)
			}
			return dir, filepath.Join(append([]string{to}, parts[i+1:]...)...), false, nil
		}
		if i == len(parts)-1 {
			break
		}
		dir = next
	}
	return dir, "", false, nil
}
