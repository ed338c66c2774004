// This file streams a backup to the caller, who keeps it: the agent writes to no path of a caller's.

package control

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/backup"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// serveBackup answers with a file of internal/backup's format. The tables are written to a temporary
// file first: a table must never wait for a slow caller, and what fails is told before the first byte.
func (t *tables) serveBackup(w http.ResponseWriter, r *http.Request) {
	chosen, err := t.choose(r, isBackuper)
	if err != nil {
		writeUnknownTable(w, err)
		return
	}
	file, err := t.spoolBackup(r.Context(), chosen)
	if err != nil {
		door.WriteError(w, http.StatusInternalServerError, door.Error{Code: "backup_failed", Message: err.Error()})
		return
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		door.WriteError(w, http.StatusInternalServerError, door.Error{Code: "backup_failed", Message: err.Error()})
		return
	}
	w.Header().Set("Content-Type", "application/zstd")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	_, _ = io.Copy(w, file) // the caller has gone: it sees that the file is short
}

// spoolBackup writes a backup of the tables to a temporary file that has no name any more.
func (t *tables) spoolBackup(ctx context.Context, chosen []operator.Table) (_ *os.File, err error) {
	file, err := os.CreateTemp(t.spool, "backup-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	if err := os.Remove(file.Name()); err != nil {
		return nil, err
	}
	b, err := backup.NewWriter(file, t.version)
	if err != nil {
		return nil, err
	}
	for _, table := range chosen {
		image := func(w io.Writer) (time.Duration, error) { return table.(operator.Backuper).Backup(ctx, w) }
		if err := b.Table(table.Name(), image); err != nil {
			return nil, err
		}
	}
	return file, b.Close()
}
