// This file holds `flags`: read and switch feature flags while the agent runs.

package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func flagsCommand() *cobra.Command {
	cmd, o := newCommand("flags", "Read and switch feature flags while the agent runs")
	cmd.AddCommand(
		flagsList(o),
		flagsGet(o),
		flagsSwitch(o, "enable", "Set a boolean flag true"),
		flagsSwitch(o, "disable", "Set a boolean flag false; what components hold drains under the old rule"),
		flagsSet(o),
		flagsPercentage(o),
		flagsReset(o),
	)
	return cmd
}

func flagsList(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the flags, what holds now, and which overrides mask the file",
		Example: "  foundation-agent flags list\n  foundation-agent flags list --output json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := o.get(cmd, "/v1/flags", nil)
			if err != nil {
				return err
			}
			return print(cmd, o, answer, func(w io.Writer, v struct{ Flags []operator.Flag }) { printFlags(w, v.Flags) })
		},
	}
}

func flagsGet(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "get NAME",
		Short:   "Show one flag: its value, where it comes from, who overrode it and why",
		Example: "  foundation-agent flags get use_ets_sampled_events",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, err := o.get(cmd, flagPath(args[0], ""), nil)
			if err != nil {
				return err
			}
			return print(cmd, o, answer, printFlag)
		},
	}
}

func flagsSwitch(o *options, verb, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     verb + " NAME",
		Short:   short,
		Example: fmt.Sprintf("  foundation-agent flags %s enable_migration_monitoring --reason \"stage 1\"", verb),
		Args:    usage(cobra.ExactArgs(1)),
	}
	by := addWho(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return o.changeFlags(cmd, by, flagPath(args[0], verb), nil)
	}
	return cmd
}

func flagsSet(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set NAME VALUE",
		Short: "Set a flag to a value, or to one of its variants",
		Long:  "Set a flag to a value (JSON, or plain text for a string), or with --variant to one of its variants.",
		Example: "  foundation-agent flags set enable_migration_monitoring true --reason \"stage 1\"\n" +
			"  foundation-agent flags set enable_migration_monitoring --variant on",
		Args: usage(cobra.RangeArgs(1, 2)),
	}
	by := addWho(cmd)
	variant := cmd.Flags().String("variant", "", "variant to set, instead of a value")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (len(args) == 2) == (*variant != "") {
			return exitf(ExitUsage, "give either a value or --variant")
		}
		body := map[string]any{"variant": *variant}
		if len(args) == 2 {
			body = map[string]any{"value": parseValue(args[1])}
		}
		return o.changeFlags(cmd, by, flagPath(args[0], "set"), body)
	}
	return cmd
}

// parseValue reads JSON; what is none is a string, so that nobody has to quote twice.
func parseValue(s string) any {
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		return s
	}
	return v
}

func flagsPercentage(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "percentage NAME PERCENT",
		Short:   "Set a boolean flag true for a share of the targeting keys, the same ones each time",
		Example: "  foundation-agent flags percentage enable_migration_monitoring 25 --reason canary",
		Args:    usage(cobra.ExactArgs(2)),
	}
	by := addWho(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		percent, err := strconv.ParseFloat(args[1], 64)
		if err != nil {
			return exitf(ExitUsage, "PERCENT is %q: allowed are numbers from 0 to 100", args[1])
		}
		return o.changeFlags(cmd, by, flagPath(args[0], "percentage"), map[string]any{"percentage": percent})
	}
	return cmd
}

func flagsReset(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reset [NAME]",
		Short: "Take an override away, or with --all every one: the file's definition holds again",
		Example: "  foundation-agent flags reset enable_migration_monitoring --reason \"test over\"\n" +
			"  foundation-agent flags reset --all",
		Args: usage(cobra.MaximumNArgs(1)),
	}
	by := addWho(cmd)
	all := cmd.Flags().Bool("all", false, "take every override away")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (len(args) == 1) == *all {
			return exitf(ExitUsage, "give either the name of a flag or --all")
		}
		path := "/v1/flags/reset"
		if len(args) == 1 {
			path = flagPath(args[0], "reset")
		}
		return o.changeFlags(cmd, by, path, nil)
	}
	return cmd
}

func flagPath(name, verb string) string {
	path := "/v1/flags/" + url.PathEscape(name)
	if verb != "" {
		path += "/" + verb
	}
	return path
}

// changeFlags posts a change, prints the flags as they are now, and tells when they are not stored.
func (o *options) changeFlags(cmd *cobra.Command, by *who, path string, body any) error {
	answer, err := o.call(cmd, request{method: http.MethodPost, path: path, query: by.params(), body: body})
	if err != nil {
		return err
	}
	var change operator.FlagChange
	if err := json.Unmarshal(answer, &change); err != nil {
		return fmt.Errorf("the agent's answer was not understood: %w", err)
	}
	if err := print(cmd, o, answer, func(w io.Writer, c operator.FlagChange) { printFlags(w, c.Flags) }); err != nil {
		return err
	}
	if !change.Persisted {
		return &ExitError{Code: ExitNotPersisted, Err: errors.New("the change holds, but could not be stored: a restart of the agent would lose it")}
	}
	return nil
}

func printFlags(w io.Writer, flags []operator.Flag) {
	rows := make([][]any, 0, len(flags))
	for _, f := range flags {
		rows = append(rows, []any{f.Name, jsonText(f.Value), f.Variant, overrideOf(f), jsonText(f.FileValue), f.Bound})
	}
	printTable(w, []string{"FLAG", "VALUE", "VARIANT", "OVERRIDE", "FILE SAYS", "BOUND"}, rows)
}

func overrideOf(f operator.Flag) string {
	switch {
	case f.Override == nil:
		return ""
	case f.Override.MasksFile:
		return "by " + f.Override.Author + ", masks the file"
	}
	return "by " + f.Override.Author
}

func printFlag(w io.Writer, f operator.Flag) {
	printFacts(w,
		"Flag", f.Name, "Description", f.Description, "Type", f.Type, "State", f.State,
		"Value", jsonText(f.Value), "Variant", f.Variant, "Reason", f.Reason,
		"File says", jsonText(f.FileValue), "Source", f.Source,
		"Bound", f.Bound, "Migration", f.Migration, "Depends on", strings.Join(f.DependsOn, ", "),
	)
	if ov := f.Override; ov != nil {
		printFacts(w, "Override", ov.Kind, "Set to", jsonText(ov.Value), "By", ov.Author, "Because", ov.Reason, "At", ov.At.Format(time.RFC3339), "Masks the file", ov.MasksFile)
	}
}
