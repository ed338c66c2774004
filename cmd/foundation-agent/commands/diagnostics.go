// This file holds `diagnostics`: every component checks itself by doing its work.

package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/page"
)

func diagnosticsCommand() *cobra.Command {
	cmd, o := newCommand("diagnostics", "Let components check themselves")
	cmd.AddCommand(diagnosticsRun(o), diagnosticsList(o))
	return cmd
}

func diagnosticsList(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the components that can check themselves",
		Example: "  foundation-agent diagnostics list",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := o.get(cmd, "/v1/diagnostics", nil)
			if err != nil {
				return err
			}
			return print(cmd, o, answer, func(w io.Writer, v struct{ Components []string }) {
				for _, name := range v.Components {
					fmt.Fprintln(w, clean(name))
				}
			})
		},
	}
}

func diagnosticsRun(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [COMPONENT...]",
		Short: "Run the self-checks of components, or of all",
		Long: "Run the self-checks of components, or of all. Each does its own work with records marked synthetic, and " +
			"holds it against its budget. Exits with 6 when a check fails.",
		Example: "  foundation-agent diagnostics run\n  foundation-agent diagnostics run --html diagnostics.html",
	}
	by := addWho(cmd)
	html := cmd.Flags().String("html", "", "write the result as one self-contained page to this file, too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := by.params()
		query["component"] = args
		answer, err := o.call(cmd, request{method: http.MethodPost, path: "/v1/diagnostics/run", query: query})
		if err != nil {
			return err
		}
		var result operator.Diagnostics
		if err := json.Unmarshal(answer, &result); err != nil {
			return fmt.Errorf("the agent's answer was not understood: %w", err)
		}
		if err := print(cmd, o, answer, printDiagnostics); err != nil {
			return err
		}
		if *html != "" {
			document, err := page.Diagnostics(result)
			if err != nil {
				return err
			}
			if err := writePage(*html, document); err != nil {
				return err
			}
		}
		if !result.OK {
			return &ExitError{Code: ExitUnhealthy, Err: errors.New("a check failed")}
		}
		return nil
	}
	return cmd
}

func printDiagnostics(w io.Writer, d operator.Diagnostics) {
	var rows [][]any
	for _, c := range d.Checks {
		for _, s := range c.Steps {
			budget := ""
			if s.Budget > 0 {
				budget = s.Budget.String()
			}
			rows = append(rows, []any{c.Name, s.Name, verdict(s.OK), s.Took.Round(time.Microsecond / 10), budget, s.Detail})
		}
		if len(c.Steps) == 0 {
			rows = append(rows, []any{c.Name, "", verdict(c.OK), c.Took.Round(time.Microsecond), "", ""})
		}
	}
	printTable(w, []string{"COMPONENT", "STEP", "RESULT", "TOOK", "BUDGET", "DETAIL"}, rows)
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "FAILED"
}

// writePage writes a page to a new file, or over an old one.
func writePage(path string, document page.Document) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(document.Write(file), file.Close())
}
