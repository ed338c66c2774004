// This file holds `migrate report`.

package commands

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/page"
)

func migrateReport(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Report what happened between two dates, by stage, with the signals before and after",
		Example: "  foundation-agent migrate report --from 24h\n" +
			"  foundation-agent migrate report --from 2026-01-01 --to 2026-02-01 --html report.html",
		Args: usage(cobra.NoArgs),
	}
	times := addTimes(cmd)
	html := cmd.Flags().String("html", "", "write it as one self-contained page with pictures to this file, too")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query, err := times.params()
		if err != nil {
			return err
		}
		answer, err := o.get(cmd, "/v1/migration/report", query)
		if err != nil {
			return err
		}
		if err := print(cmd, o, answer, printReport); err != nil || *html == "" {
			return err
		}
		var report operator.MigrationReport
		if err := json.Unmarshal(answer, &report); err != nil {
			return fmt.Errorf("the agent's answer was not understood: %w", err)
		}
		document, err := page.Report(report)
		if err != nil {
			return err
		}
		return writePage(*html, document)
	}
	return cmd
}

func printReport(w io.Writer, r operator.MigrationReport) {
	printFacts(w, "From", r.From.Format(time.DateTime), "To", r.To.Format(time.DateTime))
	fmt.Fprintln(w)
	rows := make([][]any, 0, len(r.Stages))
	for _, s := range r.Stages {
		rows = append(rows, []any{s.Stage, s.From.Format(time.DateTime), s.To.Format(time.DateTime), page.Seconds(s.To.Sub(s.From).Seconds()), s.Left})
	}
	printTable(w, []string{"STAGE", "FROM", "TO", "FOR", "LEFT BY"}, rows)
	fmt.Fprintln(w)
	printHistory(w, r.History)
	for _, change := range r.Changes {
		fmt.Fprintf(w, "\n%s %s: %s to %s\n", change.Entry.At.Format(time.DateTime), clean(change.Entry.Kind), clean(change.Entry.From), clean(change.Entry.To))
		rows := make([][]any, 0, len(change.Signals))
		for _, s := range change.Signals {
			rows = append(rows, []any{s.Signal, page.Measured(s.Before, s.Unit), page.Measured(s.After, s.Unit)})
		}
		printTable(w, []string{"SIGNAL", "BEFORE", "AFTER"}, rows)
	}
}
