// This file holds `status`.

package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func statusCommand() *cobra.Command {
	cmd, o := newCommand("status", "Show what the agent is and how its components do")
	cmd.Long = "Show what the agent is and how its components do. Exits with 6 when a component reports an error."
	cmd.Example = "  foundation-agent status"
	cmd.Args = usage(cobra.NoArgs)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := o.get(cmd, "/v1/status", nil)
		if err != nil {
			return err
		}
		var status operator.Status
		if err := json.Unmarshal(answer, &status); err != nil {
			return err
		}
		if err := print(cmd, o, answer, printStatus); err != nil {
			return err
		}
		if !status.Healthy {
			return &ExitError{Code: ExitUnhealthy, Err: errors.New("a component reports an error")}
		}
		return nil
	}
	return cmd
}

func printStatus(w io.Writer, s operator.Status) {
	printFacts(w,
		"Agent", s.Command+" "+s.Version,
		"Process", s.PID,
		"User", s.UID,
		"Up", time.Duration(s.UptimeSeconds*float64(time.Second)).Round(time.Second),
		"Healthy", s.Healthy,
	)
	rows := make([][]any, 0, len(s.Components))
	for _, c := range s.Components {
		rows = append(rows, []any{c.Kind, c.ID, strings.Join(c.Pipelines, " "), c.Status, c.Error})
	}
	fmt.Fprintln(w)
	printTable(w, []string{"KIND", "COMPONENT", "PIPELINES", "STATUS", "ERROR"}, rows)
}
