// This file holds `baseline`: what signals are like, collected, shown and compared.

package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/page"
)

func baselineCommand() *cobra.Command {
	cmd, o := newCommand("baseline", "Collect what signals are like, and compare")
	cmd.AddCommand(baselineCollect(o), baselineList(o), baselineShow(o), baselineCompare(o), baselineStop(o), baselineDelete(o))
	return cmd
}

// progressEvery is how often a command that waits looks how far it is.
const progressEvery = 500 * time.Millisecond

func baselineCollect(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "collect",
		Short: "Collect a baseline, and show how far it is",
		Long: "Collect a baseline. The agent collects by itself, over restarts too: interrupting this command does not stop " +
			"it (`baseline stop` does). Exits with 6 when there were too few samples.",
		Example: "  foundation-agent baseline collect --duration 24h --name before\n" +
			"  foundation-agent baseline collect --duration 24h --detach",
		Args: usage(cobra.NoArgs),
	}
	by := addWho(cmd)
	duration := cmd.Flags().Duration("duration", 24*time.Hour, "how long signals are to be observed")
	name := cmd.Flags().String("name", "", "name of the baseline; the time of its begin where absent")
	detach := cmd.Flags().Bool("detach", false, "do not wait for its end")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		body := map[string]any{"name": *name, "seconds": duration.Seconds()}
		answer, err := o.call(cmd, request{method: http.MethodPost, path: "/v1/baseline", query: by.params(), body: body})
		if err != nil {
			return err
		}
		var begun operator.Baseline
		if err := json.Unmarshal(answer, &begun); err != nil {
			return fmt.Errorf("the agent's answer was not understood: %w", err)
		}
		if *detach {
			return print(cmd, o, answer, printBaseline)
		}
		return o.awaitBaseline(cmd, begun)
	}
	return cmd
}

// awaitBaseline shows how far a collection is until it ends. An agent that restarts meanwhile goes on with it.
func (o *options) awaitBaseline(cmd *cobra.Command, begun operator.Baseline) error {
	bar := newSteps(cmd, "collecting "+clean(begun.Name), int64(begun.Wanted))
	defer bar.done()
	for {
		if err := pause(cmd.Context(), progressEvery); err != nil {
			return err
		}
		answer, err := o.get(cmd, "/v1/baseline/"+url.PathEscape(begun.Name), nil)
		if ExitCode(err) == ExitUnreachable {
			continue
		}
		if err != nil {
			return err
		}
		var b operator.Baseline
		if err := json.Unmarshal(answer, &b); err != nil {
			return fmt.Errorf("the agent's answer was not understood: %w", err)
		}
		bar.set(int64(b.Duration))
		if b.State == "collecting" {
			continue
		}
		bar.done()
		if err := print(cmd, o, answer, printBaseline); err != nil {
			return err
		}
		if b.State != "complete" {
			return exitf(ExitUnhealthy, "the baseline is %s: %s", clean(b.State), clean(b.Message))
		}
		return nil
	}
}

// pause waits, unless the command is interrupted.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func baselineList(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the baselines, the latest first",
		Example: "  foundation-agent baseline list",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := o.get(cmd, "/v1/baseline", nil)
			if err != nil {
				return err
			}
			return print(cmd, o, answer, printBaselines)
		},
	}
}

func printBaselines(w io.Writer, v struct{ Baselines []operator.Baseline }) {
	rows := make([][]any, 0, len(v.Baselines))
	for _, b := range v.Baselines {
		rows = append(rows, []any{b.Name, b.State, b.Stage, b.Started.Format(time.DateTime), page.Seconds(b.Duration), b.Samples, b.Author})
	}
	printTable(w, []string{"BASELINE", "STATE", "STAGE", "BEGUN", "OBSERVED", "SAMPLES", "BY"}, rows)
}

func baselineShow(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a baseline: each signal with p50, p95, p99 and the number of samples",
		Example: "  foundation-agent baseline show before",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, err := o.get(cmd, "/v1/baseline/"+url.PathEscape(args[0]), nil)
			if err != nil {
				return err
			}
			return print(cmd, o, answer, printBaseline)
		},
	}
}

func printBaseline(w io.Writer, b operator.Baseline) {
	printFacts(w, "Baseline", b.Name, "State", b.State, "Message", b.Message, "Stage", b.Stage, "By", b.Author,
		"Begun", b.Started.Format(time.DateTime), "Observed", page.Seconds(b.Duration)+" of "+page.Seconds(b.Wanted), "Samples", b.Samples)
	if len(b.Signals) == 0 {
		return
	}
	rows := [][]any{}
	add := func(name, unit string, s operator.BaselineStats) {
		rows = append(rows, []any{name, s.Samples, amount(&s.Mean, unit), amount(&s.P50, unit), amount(&s.P95, unit), amount(&s.P99, unit), amount(&s.Max, unit)})
	}
	for _, name := range slices.Sorted(maps.Keys(b.Signals)) {
		s := b.Signals[name]
		add(name, s.Unit, s.Overall)
		if s.Observed != nil {
			add("  all observed", s.Unit, *s.Observed)
		}
	}
	fmt.Fprintln(w)
	printTable(w, []string{"SIGNAL", "SAMPLES", "MEAN", "P50", "P95", "P99", "MAX"}, rows)
}

func baselineCompare(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "compare [A [B]]",
		Short:   "Hold baseline B, or the last hour, against A, or the baseline that the guard uses",
		Example: "  foundation-agent baseline compare before\n  foundation-agent baseline compare before after",
		Args:    usage(cobra.MaximumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			for i, key := range []string{"a", "b"} {
				if i < len(args) {
					query.Set(key, args[i])
				}
			}
			answer, err := o.get(cmd, "/v1/baseline/compare", query)
			if err != nil {
				return err
			}
			return print(cmd, o, answer, printComparison)
		},
	}
}

func printComparison(w io.Writer, c operator.BaselineComparison) {
	rows := make([][]any, 0, len(c.Rows))
	for _, r := range c.Rows {
		row := []any{r.Signal, "", "", "", "", ""}
		if r.A != nil {
			row[1], row[2] = amount(&r.A.Mean, r.Unit), amount(&r.A.P99, r.Unit)
		}
		if r.B != nil {
			row[3], row[4] = amount(&r.B.Mean, r.Unit), amount(&r.B.P99, r.Unit)
		}
		if r.Change != nil {
			row[5] = fmt.Sprintf("%+.1f %%", *r.Change*100)
		}
		rows = append(rows, row)
	}
	printTable(w, []string{"SIGNAL", "MEAN " + clean(c.A), "P99", "MEAN " + clean(c.B), "P99", "CHANGE"}, rows)
}

func baselineStop(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "stop",
		Short:   "End the collection under way before its time",
		Example: "  foundation-agent baseline stop",
		Args:    usage(cobra.NoArgs),
	}
	by := addWho(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := o.call(cmd, request{method: http.MethodPost, path: "/v1/baseline/stop", query: by.params()})
		if err != nil {
			return err
		}
		return print(cmd, o, answer, printBaseline)
	}
	return cmd
}

func baselineDelete(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "delete NAME",
		Short:   "Forget a baseline",
		Example: "  foundation-agent baseline delete before",
		Args:    usage(cobra.ExactArgs(1)),
	}
	by := addWho(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		answer, err := o.call(cmd, request{method: http.MethodDelete, path: "/v1/baseline/" + url.PathEscape(args[0]), query: by.params()})
		if err != nil {
			return err
		}
		return print(cmd, o, answer, printBaselines)
	}
	return cmd
}
