// This file keeps what a restore is about to do, so that one that a crash cuts short is completed at the next start.

package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// Files of a restore, in the socket's directory. The backup is whole and checked before the intent is there, and
// as long as the intent is there the restore is to be completed.
const (
	intentFile = "restore.json"
	stagedFile = "restore.tar.zst"
	failedFile = "restore-failed.tar.zst" // what could not be completed at a start, for the operator
)

// intent is what a restore is about to do.
type intent struct {
	Tables []string        `json:"tables"`
	By     operator.Caller `json:"by"`
}

// intents keeps at most one.
type intents struct{ dir string }

func (i intents) path(name string) string { return filepath.Join(i.dir, name) }

// stage keeps body durably, while read reads it, and then an intent of the tables that read returns. Nothing is left
// of it where that fails.
func (i intents) stage(body io.Reader, by operator.Caller, read func(io.Reader) ([]prepared, error)) ([]prepared, error) {
	ready, err := i.spool(body, read)
	if err != nil {
		return nil, errors.Join(err, i.sweep())
	}
	in := intent{By: by}
	for _, p := range ready {
		in.Tables = append(in.Tables, p.table.Name())
	}
	if err := i.put(in); err != nil {
		return nil, errors.Join(err, i.done())
	}
	return ready, nil
}

// spool copies body to the staged file while read reads it.
func (i intents) spool(body io.Reader, read func(io.Reader) ([]prepared, error)) ([]prepared, error) {
	file, err := os.OpenFile(i.path(stagedFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	ready, err := read(io.TeeReader(body, file))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return ready, errors.Join(file.Sync(), file.Close())
}

// put makes the intent durable.
func (i intents) put(in intent) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(i.path(intentFile+".new"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), i.path(intentFile)); err != nil {
		return err
	}
	return i.sync()
}

// get returns the intent that a crash has left; nil where it has left none. What is left of a restore that had not
// begun is removed.
func (i intents) get() (*intent, error) {
	text, err := os.ReadFile(i.path(intentFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, i.sweep()
	}
	if err != nil {
		return nil, err
	}
	var in intent
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("%s: %w", i.path(intentFile), err)
	}
	return &in, nil
}

// staged opens the backup of the intent.
func (i intents) staged() (*os.File, error) { return os.Open(i.path(stagedFile)) }

// done takes the intent away: the restore is complete, or undone.
func (i intents) done() error {
	if err := remove(i.path(intentFile)); err != nil {
		return err
	}
	return errors.Join(i.sync(), i.sweep())
}

// failed takes the intent away and keeps the backup for the operator.
func (i intents) failed() (kept string, err error) {
	kept = i.path(failedFile)
	return kept, errors.Join(os.Rename(i.path(stagedFile), kept), i.done())
}

// sweep removes a backup that no intent is about.
func (i intents) sweep() error { return remove(i.path(stagedFile)) }

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// sync makes renames and removals in the directory durable.
func (i intents) sync() error {
	dir, err := os.Open(i.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
