// This file holds `preflight`: the pre-migration checklist.

package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func preflightCommand() *cobra.Command {
	cmd, o := newCommand("preflight", "Go through the checklist before the next stage")
	cmd.Long = "Go through the checklist before the next stage: storage, bound flags, soak, rehearsal, dashboards, " +
		"attestations. With --attest one says, by name, that an item is so that the agent cannot see. Exits with 6 when " +
		"an item holds the stage up."
	cmd.Example = "  foundation-agent preflight\n  foundation-agent preflight --attest \"the team has been notified\" --author ann"
	cmd.Args = usage(cobra.NoArgs)
	by := addWho(cmd)
	attested := cmd.Flags().StringArray("attest", nil, "item that is so (may be given several times)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, item := range *attested {
			said := request{method: http.MethodPost, path: "/v1/migration/attest", query: by.params(), body: map[string]string{"item": item}}
			if _, err := o.call(cmd, said); err != nil {
				return err
			}
		}
		answer, err := o.get(cmd, "/v1/migration/preflight", nil)
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
