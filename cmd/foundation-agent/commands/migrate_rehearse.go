// This file holds `migrate rehearse`.

package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func migrateRehearse(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rehearse",
		Short: "Switch the next stage on and off under the load now passing, and check the account",
		Long: "Switch the next stage on and off under the load now passing, check that no event was lost or doubled, and keep " +
			"the evidence. Exits with 6 when it failed.",
		Example: "  foundation-agent migrate rehearse --duration 5s --reason \"checklist\"",
		Args:    usage(cobra.NoArgs),
	}
	by := addWho(cmd)
	duration := cmd.Flags().Duration("duration", 30*time.Second, "how long the stage is on")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		body := map[string]any{"seconds": duration.Seconds()}
		answer, err := o.call(cmd, request{method: http.MethodPost, path: "/v1/migration/rehearse", query: by.params(), body: body})
		if err != nil {
			return err
		}
		var begun operator.Rehearsal
		if err := json.Unmarshal(answer, &begun); err != nil {
			return fmt.Errorf("the agent's answer was not understood: %w", err)
		}
		return o.awaitRehearsal(cmd, begun)
	}
	return cmd
}

func (o *options) awaitRehearsal(cmd *cobra.Command, begun operator.Rehearsal) error {
	bar := newSteps(cmd, "rehearsing stage "+clean(begun.Stage), -1)
	defer bar.done()
	for {
		if err := pause(cmd.Context(), progressEvery); err != nil {
			return err
		}
		answer, err := o.get(cmd, "/v1/migration", nil)
		if err != nil {
			return err
		}
		var status operator.MigrationStatus
		if err := json.Unmarshal(answer, &status); err != nil {
			return fmt.Errorf("the agent's answer was not understood: %w", err)
		}
		r := status.Rehearsal
		if r == nil || !r.Started.Equal(begun.Started) {
			return errors.New("the rehearsal is gone: see `foundation-agent migrate history`")
		}
		if r.State == "running" {
			continue
		}
		bar.done()
		encoded, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if err := print(cmd, o, encoded, printRehearsal); err != nil {
			return err
		}
		if r.State != "passed" {
			return exitf(ExitUnhealthy, "the rehearsal %s", clean(r.State))
		}
		return nil
	}
}

func printRehearsal(w io.Writer, r operator.Rehearsal) {
	printFacts(w, "Stage", r.Stage, "Result", r.State, "Begun", r.Started.Format(time.DateTime), "By", r.Author, "Because", r.Reason)
	fmt.Fprintln(w)
	rows := make([][]any, 0, len(r.Steps))
	for _, s := range r.Steps {
		rows = append(rows, []any{s.At.Format(time.TimeOnly), s.Name, verdict(s.OK), s.Detail})
	}
	printTable(w, []string{"AT", "STEP", "RESULT", "DETAIL"}, rows)
}
