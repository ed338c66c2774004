// This file holds `tables`: look at the agent's tables and mend them.

package commands

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func tablesCommand() *cobra.Command {
	cmd, o := newCommand("tables", "Look at the agent's tables, back them up and mend them")
	cmd.AddCommand(
		tablesInfo(o),
		tablesBackup(o),
		tablesRestore(o),
		tablesMend(o, "rebuild", "Make the indices of tables anew from their entries"),
		tablesMend(o, "cleanup", "Remove stale entries now"),
		tablesMend(o, "ensure", "Recreate what is missing"),
	)
	return cmd
}

func tablesInfo(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "info [TABLE...]",
		Short:   "Show what tables hold, and what can be done with them",
		Example: "  foundation-agent tables info",
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, err := o.get(cmd, "/v1/tables", url.Values{"table": args})
			if err != nil {
				return err
			}
			return print(cmd, o, answer, func(w io.Writer, v struct{ Tables []operator.TableView }) { printTables(w, v.Tables) })
		},
	}
}

func printTables(w io.Writer, tables []operator.TableView) {
	rows := make([][]any, 0, len(tables))
	for _, t := range tables {
		rows = append(rows, []any{
			t.Name, t.Entries, bound(t.MaxEntries, "%d"), byteSize(t.Bytes), byteBound(t.MaxBytes), t.Persisted, strings.Join(t.Can, " "),
		})
	}
	printTable(w, []string{"TABLE", "ENTRIES", "AT MOST", "BYTES", "AT MOST", "STORED", "CAN"}, rows)
}

func bound(n int64, format string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, n)
}

func byteBound(n int64) string {
	if n == 0 {
		return ""
	}
	return byteSize(n)
}

func byteSize(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// tablesMend returns a command that does one thing to the named tables, or to all that can.
func tablesMend(o *options, verb, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     verb + " [TABLE...]",
		Short:   short,
		Long:    short + ": of the named tables, or of all that can.",
		Example: fmt.Sprintf("  foundation-agent tables %s --reason \"after the incident\"", verb),
	}
	by := addWho(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := by.params()
		query["table"] = args
		answer, err := o.call(cmd, request{method: http.MethodPost, path: "/v1/tables/" + verb, query: query})
		if err != nil {
			return err
		}
		return print(cmd, o, answer, printTableResults)
	}
	return cmd
}

func printTableResults(w io.Writer, v struct{ Results []operator.TableResult }) {
	rows := make([][]any, 0, len(v.Results))
	var changes [][]any
	for _, r := range v.Results {
		rows = append(rows, []any{r.Table, r.Entries, r.Took.Round(time.Microsecond)})
		for _, change := range r.Changes {
			changes = append(changes, []any{r.Table, change})
		}
	}
	printTable(w, []string{"TABLE", "ENTRIES", "TOOK"}, rows)
	if len(changes) > 0 {
		printTable(w, []string{"TABLE", "CHANGED"}, changes)
	}
}
