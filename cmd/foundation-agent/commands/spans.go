// This file holds `spans`: start and end spans as an application does, and see which are open.

package commands

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func spansCommand() *cobra.Command {
	cmd, o := newCommand("spans", "Start and end spans, and see which are open")
	cmd.AddCommand(spansStart(o), spansEnd(o), spansList(o))
	return cmd
}

func spansStart(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "start NAME",
		Short: "Start a span as a registered agent; it becomes the child of the one on top of its process's stack",
		Example: "  foundation-agent spans start checkout --agent worker-1 --process main --attribute order=42\n" +
			"  FOUNDATION_AGENT_TOKEN=... foundation-agent spans start checkout --agent worker-1",
		Args: usage(cobra.ExactArgs(1)),
	}
	app := addApplication(cmd)
	attributes := cmd.Flags().StringToString("attribute", nil, "attribute, key=value (may be given several times)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return callSpan(cmd, o, app, "start", map[string]any{"name": args[0], "attributes": typed(*attributes)})
	}
	return cmd
}

func spansEnd(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "end [SPAN-ID]",
		Short:   "End a span as a registered agent: the one on top of its process's stack, or the one of that id",
		Example: "  foundation-agent spans end --agent worker-1 --process main",
		Args:    usage(cobra.MaximumNArgs(1)),
	}
	app := addApplication(cmd)
	trace := cmd.Flags().String("trace-id", "", "trace of the span")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body := map[string]any{}
		if len(args) == 1 {
			body["span_id"] = args[0]
		}
		if *trace != "" {
			body["trace_id"] = *trace
		}
		return callSpan(cmd, o, app, "end", body)
	}
	return cmd
}

func callSpan(cmd *cobra.Command, o *options, app *application, verb string, body map[string]any) error {
	answer, err := app.call(cmd, o, request{method: http.MethodPost, path: "/v1/spans/" + verb, body: app.fields(body)})
	if err != nil {
		return err
	}
	return print(cmd, o, answer, printObject)
}

func spansList(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List open spans, the longest open first",
		Example: "  foundation-agent spans list\n  foundation-agent spans list --agent worker-1",
		Args:    usage(cobra.NoArgs),
	}
	f := cmd.Flags()
	agent := f.String("agent", "", "only spans of this agent")
	process := f.String("process", "", "only spans of this process")
	trace := f.String("trace-id", "", "only spans of this trace")
	limit := f.Int("limit", 100, "how many to list")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{"limit": {strconv.Itoa(*limit)}}
		for name, value := range map[string]string{"agent_id": *agent, "process": *process, "trace_id": *trace} {
			if value != "" {
				query.Set(name, value)
			}
		}
		answer, err := o.get(cmd, "/v1/spans", query)
		if err != nil {
			return err
		}
		return print(cmd, o, answer, printSpans)
	}
	return cmd
}

func printSpans(w io.Writer, v operator.OpenSpans) {
	printSpanTable(w, v.Spans)
	if v.Total > len(v.Spans) {
		fmt.Fprintf(w, "\n%d of %d\n", len(v.Spans), v.Total)
	}
}

func printSpanTable(w io.Writer, spans []operator.OpenSpan) {
	rows := make([][]any, 0, len(spans))
	for _, s := range spans {
		rows = append(rows, []any{s.Name, s.AgentID, s.Process, openFor(s), s.TraceID, s.SpanID, s.ParentID})
	}
	printTable(w, []string{"SPAN", "AGENT", "PROCESS", "OPEN FOR", "TRACE", "ID", "PARENT"}, rows)
}

func openFor(s operator.OpenSpan) string {
	if s.Waiting {
		return "waits for its start"
	}
	return time.Since(s.StartedAt).Round(time.Millisecond).String()
}
