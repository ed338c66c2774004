// This file restores a backup: all of its tables or none.

package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/backup"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// prepared is a table whose image has been read and checked, and may now be taken in.
type prepared struct {
	operator.Restoration
	table operator.Table
}

func (t *tables) serveRestore(w http.ResponseWriter, r *http.Request) {
	if !t.restoring.TryLock() {
		door.WriteError(w, http.StatusConflict, door.Error{Code: "restore_under_way", Message: "another restore is under way: wait for its end"})
		return
	}
	defer t.restoring.Unlock()
	chosen, err := t.choose(r, isBackuper)
	if err != nil {
		writeUnknownTable(w, err)
		return
	}
	// Once begun, the work is done whether or not the caller waits for it; a body that breaks off ends it.
	ctx := context.WithoutCancel(r.Context())
	by, _ := operator.CallerIn(ctx)
	ready, err := t.intents.stage(http.MaxBytesReader(w, r.Body, t.limit), by, func(body io.Reader) ([]prepared, error) {
		return t.prepare(ctx, body, chosen, r.URL.Query().Has(paramTable))
	})
	if err != nil {
		writeRefusedBackup(w, err)
		return
	}
	results, err := applyAll(ready)
	if err = errors.Join(err, t.intents.done()); err != nil {
		door.WriteError(w, http.StatusInternalServerError, door.Error{Code: "restore_failed", Message: err.Error()})
		return
	}
	for _, result := range results {
		t.audit.changes(by, result)
	}
	door.WriteJSON(w, http.StatusOK, map[string][]operator.TableResult{"results": results})
}

// prepare reads a whole backup and lets each chosen table check its image. Nothing is changed. With
// skipOthers the backup's other tables are read over; without, one that does not exist here is an error.
func (t *tables) prepare(ctx context.Context, body io.Reader, chosen []operator.Table, skipOthers bool) ([]prepared, error) {
	b, err := backup.NewReader(body, t.limit)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	wanted := make(map[string]operator.Table, len(chosen))
	for _, table := range chosen {
		wanted[table.Name()] = table
	}
	var ready []prepared
	for {
		name, image, err := b.Next()
		if errors.Is(err, io.EOF) {
			return ready, checkFound(wanted, ready, skipOthers)
		}
		if err != nil {
			return nil, err
		}
		table, ok := wanted[name]
		if !ok && skipOthers {
			continue
		}
		if !ok {
			return nil, fmt.Errorf("%w: %q", errNoSuchTable, name)
		}
		restoration, err := table.(operator.Backuper).Restore(ctx, image)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		ready = append(ready, prepared{restoration, table})
	}
}

var errNoSuchTable = errors.New("the backup has a table that this agent has not; name the tables to restore")

// checkFound makes sure that a table that the caller named is in the backup.
func checkFound(wanted map[string]operator.Table, ready []prepared, named bool) error {
	if !named || len(ready) == len(wanted) {
		return nil
	}
	for _, p := range ready {
		delete(wanted, p.table.Name())
	}
	for name := range wanted {
		return fmt.Errorf("the backup has no table %q", name)
	}
	return nil
}

// applyAll takes every image in. Where one table fails, it and those before it let go of what they have taken in.
func applyAll(ready []prepared) ([]operator.TableResult, error) {
	results := make([]operator.TableResult, 0, len(ready))
	for i, p := range ready {
		start := time.Now()
		entries, err := p.Apply()
		if err != nil {
			err = fmt.Errorf("table %s: %w", p.table.Name(), err)
			if undo := undoAll(ready[:i+1]); undo != nil {
				return nil, fmt.Errorf("nothing was restored: %w; but undoing it could not be stored: %w", err, undo)
			}
			return nil, fmt.Errorf("nothing was restored: %w", err)
		}
		result := operator.TableResult{Table: p.table.Name(), Entries: entries, Took: time.Since(start)}
		if p.Changes != nil {
			result.Changes = p.Changes()
		}
		results = append(results, result)
	}
	return results, nil
}

// undoAll lets each table let go of what it has taken in, the latest first.
func undoAll(applied []prepared) error {
	var errs []error
	for _, p := range slices.Backward(applied) {
		if err := p.Undo(); err != nil {
			errs = append(errs, fmt.Errorf("table %s: %w", p.table.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// writeRefusedBackup tells why nothing was changed.
func writeRefusedBackup(w http.ResponseWriter, err error) {
	status, code := http.StatusUnprocessableEntity, "backup_refused"
	var tooLarge *http.MaxBytesError
	var disk *fs.PathError
	switch {
	case errors.As(err, &disk):
		status, code = http.StatusInternalServerError, "restore_failed"
	case errors.As(err, &tooLarge), errors.Is(err, backup.ErrTooLarge):
		status, code = http.StatusRequestEntityTooLarge, "backup_too_large"
	case errors.Is(err, backup.ErrForeign):
		code = "backup_foreign"
	case errors.Is(err, backup.ErrNewer):
		code = "backup_newer"
	case errors.Is(err, backup.ErrDamaged):
		code = "backup_damaged"
	case errors.Is(err, errNoSuchTable):
		code = "unknown_table"
	}
	door.WriteError(w, status, door.Error{Code: code, Message: "nothing was changed: " + err.Error()})
}
