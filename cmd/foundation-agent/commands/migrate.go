// This file holds `migrate`: the changes of stage.

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

func migrateCommand() *cobra.Command {
	cmd, o := newCommand("migrate", "Move through the stages of the rollout, and back")
	cmd.AddCommand(
		migrateStatus(o), migrateHistory(o), migratePreview(o), migrateRehearse(o),
		migrateAdvance(o), migrateRollback(o), migrateEmergency(o),
		migrateVerify(o), migrateReport(o), migrateFinalize(o),
	)
	return cmd
}

func migrateAdvance(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "advance",
		Short: "Switch the next stage on, when its preflight allows",
		Long: "Switch the next stage on, when its preflight allows (see `foundation-agent preflight`). --force with a " +
			"--reason skips the soak, never what would be wrong.",
		Example: "  foundation-agent migrate advance --reason \"baseline is collected\"\n" +
			"  foundation-agent migrate advance --to 1 --force --reason \"staging: no soak\"",
		Args: usage(cobra.NoArgs),
	}
	by := addWho(cmd)
	force := cmd.Flags().Bool("force", false, "do not wait for the soak")
	to := cmd.Flags().String("to", "", "refuse unless this stage is the next")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return o.changeStage(cmd, by, "advance", map[string]any{"force": *force, "to": *to})
	}
	return cmd
}

func migrateRollback(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rollback",
		Short:   "Go back to the stage before the present one, or further",
		Example: "  foundation-agent migrate rollback --reason \"p99 too high\"\n  foundation-agent migrate rollback --to none --reason \"start again\"",
		Args:    usage(cobra.NoArgs),
	}
	by := addWho(cmd)
	to := cmd.Flags().String("to", "", "stage to go back to (none: before the first); the one before the present where absent")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		body := map[string]any{}
		if *to != "" {
			body["to"] = *to
		}
		return o.changeStage(cmd, by, "rollback", body)
	}
	return cmd
}

func migrateEmergency(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "emergency-rollback",
		Short: "Set every migration flag false now, whatever else fails",
		Long: "Set every migration flag false, verified before it answers, in under a second, even when the storage, the " +
			"guard or an exporter fails. Exits with 5 when it holds but could not be stored.",
		Example: "  foundation-agent migrate emergency-rollback --reason \"error storm\" --approved-by \"the one on call\"",
		Args:    usage(cobra.NoArgs),
	}
	by := addWho(cmd)
	approved := cmd.Flags().String("approved-by", "", "who approved it; kept with it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return o.changeStage(cmd, by, "emergency-rollback", map[string]any{"approved_by": *approved})
	}
	return cmd
}

// changeStage posts a change, prints what holds now, and tells when that is not stored.
func (o *options) changeStage(cmd *cobra.Command, by *who, verb string, body any) error {
	answer, err := o.call(cmd, request{method: http.MethodPost, path: "/v1/migration/" + verb, query: by.params(), body: body})
	if err != nil {
		return err
	}
	var change operator.MigrationChange
	if err := json.Unmarshal(answer, &change); err != nil {
		return fmt.Errorf("the agent's answer was not understood: %w", err)
	}
	if err := print(cmd, o, answer, printChange); err != nil {
		return err
	}
	switch {
	case !change.Verified:
		return &ExitError{Code: ExitUnhealthy, Err: errors.New("the flags are not as the stage wants them: see `foundation-agent migrate status`")}
	case !change.Persisted:
		return &ExitError{Code: ExitNotPersisted, Err: errors.New("it holds, but could not be stored: a restart of the agent would lose it")}
	}
	return nil
}

func printChange(w io.Writer, c operator.MigrationChange) {
	printFacts(w, "Stage", c.Stage, "From", c.Entry.From, "By", c.Entry.Author, "Because", c.Entry.Reason,
		"Message", c.Entry.Message, "Verified", c.Verified, "Stored", c.Persisted)
	fmt.Fprintln(w)
	printFlagStates(w, c.Flags)
}
