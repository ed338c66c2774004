// This file holds what `migrate` shows: status, history, preview, verify.

package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/page"
)

func migrateStatus(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show where the rollout stands: stages, soak, and each criterion with value, limit, since when",
		Example: "  foundation-agent migrate status\n  foundation-agent migrate status --output json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := o.get(cmd, "/v1/migration", nil)
			if err != nil {
				return err
			}
			return print(cmd, o, answer, printMigration)
		},
	}
}

func printMigration(w io.Writer, s operator.MigrationStatus) {
	printFacts(w,
		"Stage", s.Stage, "Next", s.Next, "Under way", s.Under,
		"Observed", page.Seconds(s.Soak.Observed)+" of "+page.Seconds(s.Soak.Required)+" in "+strconv.Itoa(s.Soak.Samples)+" samples",
		"Soak stands still", s.Soak.Paused, "Versions", strings.Join(s.Versions, ", "),
		"Baseline", s.Baseline, "Cooldown left", orEmpty(s.Cooldown), "Drifted flags", strings.Join(s.Drift, ", "),
		"Last looked", momentOf(s.Sampled), "Not stored", s.StorageErr,
	)
	for _, alert := range s.Alerts {
		printFacts(w, "ALERT", alert)
	}
	if c := s.Collecting; c != nil {
		printFacts(w, "Collecting baseline", fmt.Sprintf("%s: %s of %s, %d samples", c.Name, page.Seconds(c.Observed), page.Seconds(c.Wanted), c.Samples))
	}
	for _, source := range s.Sources {
		if !source.OK {
			printFacts(w, "Source "+source.Name+" fails", source.Error)
		}
	}
	fmt.Fprintln(w)
	printStages(w, s.Stages)
	fmt.Fprintln(w)
	printCriteria(w, s.Criteria)
}

func orEmpty(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return page.Seconds(seconds)
}

// momentOf is "" of a moment that has not come.
func momentOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateTime)
}

func printStages(w io.Writer, stages []operator.MigrationStage) {
	rows := make([][]any, 0, len(stages))
	for _, s := range stages {
		rows = append(rows, []any{s.ID, s.Name, s.State, s.Risk, page.Seconds(s.SoakRequired), strings.Join(s.Flags, ", ")})
	}
	printTable(w, []string{"STAGE", "NAME", "STATE", "RISK", "SOAK", "FLAGS"}, rows)
}

func printCriteria(w io.Writer, criteria []operator.MigrationCriterion) {
	rows := make([][]any, 0, len(criteria))
	for _, c := range criteria {
		value := amount(c.Value, c.Unit)
		if c.Reason != "" {
			value = c.Reason
		}
		rows = append(rows, []any{c.Name, c.State, value, amount(c.Limit, c.Unit), c.Threshold, amount(c.Baseline, c.Unit), momentOf(c.Since), roleOf(c)})
	}
	printTable(w, []string{"CRITERION", "STATE", "VALUE", "LIMIT", "THRESHOLD", "BASELINE", "SINCE", "HERE IT IS FOR"}, rows)
}

func roleOf(c operator.MigrationCriterion) string {
	switch {
	case c.Guards:
		return c.Action
	case c.Exit:
		return "the next stage"
	}
	return ""
}

func amount(v *float64, unit string) string {
	switch {
	case v == nil:
		return ""
	case unit == "s":
		return page.Seconds(*v)
	case unit == "By":
		return page.Bytes(*v)
	}
	return strings.TrimSpace(strconv.FormatFloat(*v, 'g', 6, 64) + " " + unit)
}

func printFlagStates(w io.Writer, flags map[string]bool) {
	rows := make([][]any, 0, len(flags))
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		rows = append(rows, []any{name, flags[name]})
	}
	printTable(w, []string{"FLAG", "ON"}, rows)
}

func migrateHistory(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "history",
		Short:   "Show what happened, when, by whom, with the numbers that led to it",
		Example: "  foundation-agent migrate history\n  foundation-agent migrate history --limit 5 --output json",
		Args:    usage(cobra.NoArgs),
	}
	times := addTimes(cmd)
	limit := cmd.Flags().Int("limit", 50, "show the last so many entries")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query, err := times.params()
		if err != nil {
			return err
		}
		query.Set("limit", strconv.Itoa(*limit))
		answer, err := o.get(cmd, "/v1/migration/history", query)
		if err != nil {
			return err
		}
		return print(cmd, o, answer, func(w io.Writer, h operator.MigrationHistory) { printHistory(w, h.Entries) })
	}
	return cmd
}

func printHistory(w io.Writer, entries []operator.MigrationEntry) {
	rows := make([][]any, 0, len(entries))
	for _, e := range entries {
		kind := e.Kind
		if e.Forced {
			kind += " (forced)"
		}
		rows = append(rows, []any{e.At.Format(time.DateTime), kind, e.From, e.To, e.Author, strings.TrimSpace(e.Reason + " " + e.Message)})
	}
	printTable(w, []string{"WHEN", "WHAT", "FROM", "TO", "WHO", "WHY"}, rows)
}

// times are --from and --to.
type times struct{ from, to string }

func addTimes(cmd *cobra.Command) *times {
	t := &times{}
	cmd.Flags().StringVar(&t.from, "from", "", "begin: a time (2026-01-31T15:04:05Z), a date (2026-01-31), or how long ago (24h)")
	cmd.Flags().StringVar(&t.to, "to", "", "end, likewise; now where absent")
	return t
}

func (t *times) params() (url.Values, error) {
	query := url.Values{}
	for key, text := range map[string]string{"from": t.from, "to": t.to} {
		if text == "" {
			continue
		}
		at, err := parseTime(text)
		if err != nil {
			return nil, exitf(ExitUsage, "--%s: %w", key, err)
		}
		query.Set(key, at.Format(time.RFC3339))
	}
	return query, nil
}

func parseTime(text string) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 2026-01-31T15:04:05Z, 2026-01-31 or 24h (ago)", text)
}

func migratePreview(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "preview",
		Short: "Show what the next stage would do to the traffic now passing",
		Long: "Show what the next stage would do to the traffic now passing: components look at it for --for, and for a " +
			"minute more, in which asking again tells of all of it.",
		Example: "  foundation-agent migrate preview --for 1s\n  foundation-agent migrate preview --stage 4b --for 1s",
		Args:    usage(cobra.NoArgs),
	}
	stage := cmd.Flags().String("stage", "", "stage to look at; the next one where absent")
	watch := cmd.Flags().Duration("for", 5*time.Second, "how long to look at the traffic")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{}
		if *stage != "" {
			query.Set("stage", *stage)
		}
		if _, err := o.get(cmd, "/v1/migration/preview", query); err != nil {
			return err
		}
		if err := pause(cmd.Context(), *watch); err != nil { // the question began the look
			return err
		}
		answer, err := o.get(cmd, "/v1/migration/preview", query)
		if err != nil {
			return err
		}
		return print(cmd, o, answer, printPreview)
	}
	return cmd
}

func printPreview(w io.Writer, p operator.MigrationPreview) {
	fmt.Fprintf(w, "Stage %s would set %s\n", clean(p.Stage), clean(strings.Join(p.Flags, ", ")))
	for _, effect := range p.Effects {
		fmt.Fprintf(w, "\n%s: %s\n", clean(effect.Flag), clean(effect.Summary))
		for _, key := range slices.Sorted(maps.Keys(effect.Detail)) {
			printFacts(w, "  "+key, effect.Detail[key])
		}
	}
	for _, name := range p.Silent {
		fmt.Fprintf(w, "\n%s: no component makes a dry run for it\n", clean(name))
	}
}

func migrateVerify(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the whole: diagnostics, violations, criteria, and now against the baseline",
		Long: "Check the whole: every component's self-check, records of the old code path (and who sends them), the " +
			"criteria of the stage, and the last hour against the baseline: every threshold of that kind (+20 %) must " +
			"hold of the mean. Exits with 6 when something is not well.",
		Example: "  foundation-agent migrate verify",
		Args:    usage(cobra.NoArgs),
	}
	by := addWho(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := o.call(cmd, request{method: http.MethodPost, path: "/v1/migration/verify", query: by.params()})
		if err != nil {
			return err
		}
		var v operator.Verification
		if err := json.Unmarshal(answer, &v); err != nil {
			return fmt.Errorf("the agent's answer was not understood: %w", err)
		}
		if err := print(cmd, o, answer, printVerification); err != nil {
			return err
		}
		if !v.OK {
			return &ExitError{Code: ExitUnhealthy, Err: errors.New("not well: " + clean(strings.Join(v.Problems, "; ")))}
		}
		return nil
	}
	return cmd
}

func printVerification(w io.Writer, v operator.Verification) {
	printDiagnostics(w, v.Diagnostics)
	fmt.Fprintln(w)
	printFacts(w, "Violations", v.Violations.Total, "Strict", v.Violations.Strict)
	rows := make([][]any, 0, len(v.Violations.Offenders))
	for _, s := range v.Violations.Offenders {
		rows = append(rows, []any{s.Sender, s.Kind, s.Count, s.Last.Format(time.DateTime)})
	}
	if len(rows) > 0 {
		printTable(w, []string{"SENDER", "KIND", "RECORDS", "LAST"}, rows)
	}
	fmt.Fprintln(w)
	if v.Baseline != nil {
		printComparison(w, *v.Baseline)
	} else {
		fmt.Fprintln(w, "Compared with no baseline: none is complete (foundation-agent baseline collect).")
	}
	fmt.Fprintln(w)
	if v.OK {
		fmt.Fprintln(w, "All is well.")
	}
	for _, problem := range v.Problems {
		fmt.Fprintln(w, "PROBLEM: "+clean(problem))
	}
}
