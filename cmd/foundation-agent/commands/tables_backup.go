// This file holds `tables backup` and `tables restore`. The command reads and writes the file; the
// agent only streams.

package commands

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/backup"
)

func tablesBackup(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the tables to a file, while the agent runs",
		Long: "Write the tables to a file (tar in zstd), while the agent runs. The file appears whole and checked, " +
			"readable by its owner alone, or not at all; one that exists is replaced only then. For each table it tells the " +
			"longest time for which the backup kept the table's users waiting.",
		Example: "  foundation-agent tables backup tables.tar.zst",
		Args:    usage(cobra.ExactArgs(1)),
	}
	by := addWho(cmd)
	tables := cmd.Flags().StringSlice("table", nil, "write this table alone (may be given several times)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := by.params()
		query["table"] = *tables
		resp, err := o.client().send(cmd.Context(), request{method: http.MethodPost, path: "/v1/tables/backup", query: query})
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		progress := newProgress(cmd, "backup", resp.ContentLength)
		manifest, err := saveBackup(args[0], io.TeeReader(resp.Body, progress))
		if err != nil {
			return err
		}
		progress.done()
		return printValue(cmd, o, manifest, printManifest)
	}
	return cmd
}

// saveBackup writes body to path by way of a temporary file beside it, and checks it on the way.
func saveBackup(path string, body io.Reader) (manifest backup.Manifest, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".backup-*")
	if err != nil {
		return manifest, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), os.Remove(file.Name()))
		}
	}()
	if _, manifest, err = backup.Verify(io.TeeReader(body, file), math.MaxInt64); err != nil {
		return manifest, fmt.Errorf("what the agent sent is no whole backup: %w", err)
	}
	if err = file.Sync(); err != nil {
		return manifest, err
	}
	if err = os.Rename(file.Name(), path); err != nil {
		return manifest, err
	}
	return manifest, file.Close()
}

func printManifest(w io.Writer, m backup.Manifest) {
	rows := make([][]any, 0, len(m.Tables))
	for _, t := range m.Tables {
		rows = append(rows, []any{t.Name, byteSize(t.Bytes), t.LongestPause.Round(time.Microsecond), t.SHA256})
	}
	printTable(w, []string{"TABLE", "BYTES", "LONGEST PAUSE", "SHA-256"}, rows)
}

func tablesRestore(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Take a backup in: all of its tables, or none",
		Long: "Take a backup in: all of its tables, or none. The agent checks the whole file before it changes anything. " +
			"Suppression comes back; what was already delivered is not delivered again.",
		Example: "  foundation-agent tables restore tables.tar.zst --reason \"lost the disk\"",
		Args:    usage(cobra.ExactArgs(1)),
	}
	by := addWho(cmd)
	tables := cmd.Flags().StringSlice("table", nil, "take this table in alone (may be given several times)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		file, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		query := by.params()
		query["table"] = *tables
		progress := newProgress(cmd, "restore", info.Size())
		answer, err := o.client().call(cmd.Context(), request{
			method: http.MethodPost, path: "/v1/tables/restore", query: query,
			stream: io.TeeReader(file, progress), contentType: "application/zstd",
		})
		if err != nil {
			return err
		}
		progress.done()
		return print(cmd, o, answer, printTableResults)
	}
	return cmd
}
