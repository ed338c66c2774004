// This file holds `migrate finalize`: the end of the rollout, as a change to the configuration that
// people review and make themselves.

package commands

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/finalize"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func migrateFinalize(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "finalize --config FILE...",
		Short: "Print the change that takes flags and stages out of the configuration files",
		Long: "Print, as a unified diff for `patch -p1`, the change that takes flags and stages out of the configuration " +
			"files that the agent was started with. Refused until the last stage has been stable for the configured time. " +
			"Changes nothing by itself.",
		Example: "  foundation-agent migrate finalize --config config/agent.yaml --config config/stages.yaml",
		Args:    usage(cobra.NoArgs),
	}
	paths := cmd.Flags().StringArray("config", nil, "a configuration file of the agent, in the order in which they are merged")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if len(*paths) == 0 {
			return exitf(ExitUsage, "--config: name the files that the agent was started with")
		}
		answer, err := o.get(cmd, "/v1/migration/finalize", nil)
		if err != nil {
			return err
		}
		var f operator.Finalize
		if err := json.Unmarshal(answer, &f); err != nil {
			return fmt.Errorf("the agent's answer was not understood: %w", err)
		}
		if !f.Ready {
			return exitf(ExitRefused, "not yet: %s", clean(f.Reason))
		}
		return printFinalized(cmd, *paths, finalize.Plan{Extension: f.Extension, FlagsID: f.FlagsID, Flags: f.Flags})
	}
	return cmd
}

func printFinalized(cmd *cobra.Command, paths []string, plan finalize.Plan) error {
	files := make([]finalize.File, 0, len(paths))
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return &ExitError{Code: ExitUsage, Err: err}
		}
		files = append(files, finalize.File{Path: path, Before: string(text)})
	}
	edited, notes, err := finalize.Edit(files, plan)
	if err != nil {
		return err
	}
	for _, f := range edited {
		diff, err := f.Diff()
		if err != nil {
			return err
		}
		if _, err := io.WriteString(cmd.OutOrStdout(), diff); err != nil {
			return err
		}
	}
	for _, note := range notes {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: "+clean(note))
	}
	return nil
}
