// This file holds `registry`: who lives beside the agent.

package commands

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

func registryCommand() *cobra.Command {
	cmd, o := newCommand("registry", "List, register and look up the agents that live here")
	cmd.AddCommand(registryList(o), registryGet(o), registryRegister(o), registryInfo(o))
	return cmd
}

// agentPage is the answer to GET /v1/agents.
type agentPage struct {
	Agents []agents.Agent
	Total  int
	Next   string
	Shadow bool
}

func registryList(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the registered agents",
		Example: "  foundation-agent registry list\n  foundation-agent registry list --limit 10 --shadow",
		Args:    usage(cobra.NoArgs),
	}
	limit := cmd.Flags().Int("limit", 100, "how many to list")
	after := cmd.Flags().String("after", "", "begin after this id: what the page before ended with")
	shadow := cmd.Flags().Bool("shadow", false, "also while use_ets_agent_registry is off: what is recorded in shadow")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{"limit": {strconv.Itoa(*limit)}}
		if *after != "" {
			query.Set("after", *after)
		}
		if *shadow {
			query.Set("shadow", "true")
		}
		answer, err := o.get(cmd, "/v1/agents", query)
		if err != nil {
			return err
		}
		return print(cmd, o, answer, printAgents)
	}
	return cmd
}

func printAgents(w io.Writer, page agentPage) {
	rows := make([][]any, 0, len(page.Agents))
	for _, a := range page.Agents {
		rows = append(rows, []any{a.ID, a.State, a.Health, a.PID, len(a.Processes), a.Endpoint, labels(a.Labels), ago(a.RegisteredAt)})
	}
	printTable(w, []string{"AGENT", "STATE", "HEALTH", "PID", "PROCESSES", "ENDPOINT", "LABELS", "REGISTERED"}, rows)
	if page.Next != "" {
		fmt.Fprintf(w, "\n%d of %d; the next page: --after %s\n", len(page.Agents), page.Total, clean(page.Next))
	}
	if page.Shadow {
		fmt.Fprintln(w, "\nThe registry is recorded in shadow: applications do not see it.")
	}
}

func labels(l map[string]string) string {
	pairs := make([]string, 0, len(l))
	for _, key := range slices.Sorted(maps.Keys(l)) {
		pairs = append(pairs, key+"="+l[key])
	}
	return strings.Join(pairs, ",")
}

func registryGet(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get AGENT",
		Short:   "Show one agent, its metadata and its vitals",
		Example: "  foundation-agent registry get worker-1",
		Args:    usage(cobra.ExactArgs(1)),
	}
	shadow := cmd.Flags().Bool("shadow", false, "also while use_ets_agent_registry is off: what is recorded in shadow")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := url.Values{}
		if *shadow {
			query.Set("shadow", "true")
		}
		answer, err := o.get(cmd, "/v1/agents/"+url.PathEscape(args[0]), query)
		if err != nil {
			return err
		}
		return print(cmd, o, answer, printAgent)
	}
	return cmd
}

func printAgent(w io.Writer, a agents.Agent) {
	printFacts(w,
		"Agent", a.ID, "Instance", a.Instance, "State", a.State, "Health", a.Health, "Detail", a.HealthDetail,
		"PID", a.PID, "Endpoint", a.Endpoint, "Labels", labels(a.Labels), "Metadata", a.Metadata,
		"Processes", strings.Join(a.Processes, ", "), "Watched by", a.Watch, "Registered via", a.Via,
		"Registered", ago(a.RegisteredAt), "Updated", ago(a.UpdatedAt), "Last beat", ago(a.LastBeat),
	)
	rows := make([][]any, 0, len(a.Vitals))
	for _, name := range slices.Sorted(maps.Keys(a.Vitals)) {
		rows = append(rows, []any{name, a.Vitals[name]})
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
		printTable(w, []string{"VITAL", "VALUE"}, rows)
	}
}

func registryRegister(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "register AGENT",
		Short: "Register an agent on behalf of a process that cannot do so itself",
		Long: "Register an agent on behalf of a process that cannot do so itself. The agent is down as soon as that " +
			"process ends. The answer has the token by which the agent proves itself, once.",
		Example: "  foundation-agent registry register worker-1 --pid $$ --label zone=a --reason \"runbook, stage 2\"",
		Args:    usage(cobra.ExactArgs(1)),
	}
	by := addWho(cmd)
	pid := cmd.Flags().Int32("pid", 0, "process that is the agent (needed)")
	endpoint := cmd.Flags().String("endpoint", "", "host:port where the agent is reached")
	label := cmd.Flags().StringToString("label", nil, "label, key=value (may be given several times)")
	lease := cmd.Flags().Duration("lease", 0, "take the agent down when it does not beat for so long; 0 leaves it to the configuration")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *pid < 1 {
			return exitf(ExitUsage, "--pid is %d: give the id of the process that is the agent", *pid)
		}
		body := map[string]any{"pid": *pid, "endpoint": *endpoint, "labels": *label}
		if *lease > 0 {
			body["lease"] = lease.String()
		}
		answer, err := o.call(cmd, request{
			method: http.MethodPut, path: "/v1/agents/" + url.PathEscape(args[0]), query: by.params(), body: body,
		})
		if err != nil {
			return err
		}
		return print(cmd, o, answer, printRegistered)
	}
	return cmd
}

func printRegistered(w io.Writer, v struct {
	Agent   agents.Agent
	Token   string
	Created bool
}) {
	a := v.Agent
	printFacts(w, "Agent", a.ID, "Instance", a.Instance, "PID", a.PID, "Watched by", a.Watch, "New", v.Created, "Token", v.Token)
}

func registryInfo(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "info",
		Short:   "Show how much the registry holds, and how it learns of deaths",
		Example: "  foundation-agent registry info",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := o.get(cmd, "/v1/agents/info", nil)
			if err != nil {
				return err
			}
			return print(cmd, o, answer, func(w io.Writer, v map[string]any) { printObject(w, v) })
		},
	}
}
