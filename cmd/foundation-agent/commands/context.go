// This file holds `context get`: peek into the error context of a process.

package commands

import (
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func contextCommand() *cobra.Command {
	cmd, o := newCommand("context", "Look at the error context of a process")
	cmd.AddCommand(contextGet(o))
	return cmd
}

func contextGet(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get AGENT [PROCESS]",
		Short:   "Show the error context that the records of a process gain, and its stack of open spans",
		Example: "  foundation-agent context get worker-1 main",
		Args:    usage(cobra.RangeArgs(1, 2)),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := url.Values{"agent_id": {args[0]}}
		if len(args) == 2 {
			query.Set("process", args[1])
		}
		answer, err := o.get(cmd, "/v1/context", query)
		if err != nil {
			return err
		}
		return print(cmd, o, answer, printContext)
	}
	return cmd
}

func printContext(w io.Writer, c operator.ProcessContext) {
	printObject(w, c.Merged)
	fmt.Fprintf(w, "\n%d contexts pushed, %d spans open\n", len(c.Pushed), len(c.Stack))
	if len(c.Stack) > 0 {
		fmt.Fprintln(w)
		printSpanTable(w, c.Stack)
	}
}
