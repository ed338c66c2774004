// This file holds `preflight`: the pre-migration checklist.

package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func preflightCommand() *cobra.Command {
	cmd, o := newCommand("preflight", "Go through the checklist before the next stage")
	cmd.Long = "Go through the checklist before the next stage (or --stage): storage, bound flags, soak, rehearsal, " +
		"dashboards, attestations. Exits with 6 when an item holds the stage up."
	cmd.Example = "  foundation-agent preflight"
	cmd.Args = usage(cobra.NoArgs)
	stage := cmd.Flags().String("stage", "", "stage to check for; the next one where absent")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{}
		if *stage != "" {
			query.Set("stage", *stage)
		}
		answer, err := o.get(cmd, "/v1/migration/preflight", query)
		if err != nil {
			return err
		}
		var result operator.Preflight
		if err := json.Unmarshal(answer, &result); err != nil {
			return fmt.Errorf("the agent's answer was not understood: %w", err)
		}
		if err := print(cmd, o, answer, printPreflight); err != nil {
			return err
		}
		if !result.OK {
			return &ExitError{Code: ExitUnhealthy, Err: errors.New("not ready for stage " + clean(result.Stage))}
		}
		return nil
	}
	return cmd
}

func printPreflight(w io.Writer, p operator.Preflight) {
	rows := make([][]any, 0, len(p.Checks))
	for _, c := range p.Checks {
		rows = append(rows, []any{preflightVerdict(c), c.Name, c.Detail})
	}
	fmt.Fprintf(w, "Stage %s\n\n", clean(p.Stage))
	printTable(w, []string{"RESULT", "ITEM", "DETAIL"}, rows)
}

func preflightVerdict(c operator.PreflightCheck) string {
	switch {
	case c.OK:
		return "ok"
	case c.Advice:
		return "advice"
	case c.Waits:
		return "WAIT"
	}
	return "FAILED"
}
