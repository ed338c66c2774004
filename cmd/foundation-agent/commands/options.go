// This file holds the options that all operators' commands share.

package commands

import (
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// options of one command line.
type options struct {
	socket    string
	output    string
	timeout   time.Duration
	allowUIDs []uint
}

// stateDirectory is where the agent keeps its state and sockets by default (config/agent.yaml).
func stateDirectory() string {
	if dir := os.Getenv("FOUNDATION_STATE_DIR"); dir != "" {
		return dir
	}
	return "var"
}

// newCommand returns a top-level command whose options hold for its subcommands too.
func newCommand(use, short string) (*cobra.Command, *options) {
	o := &options{}
	cmd := &cobra.Command{Use: use, Short: short}
	f := cmd.PersistentFlags()
	f.StringVar(&o.socket, "socket", filepath.Join(stateDirectory(), "control", "control.sock"), "operators' socket of the agent")
	f.StringVarP(&o.output, "output", "o", outputTable, "what to print: table (for people) or json (for programs)")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long to wait for the agent's answer (a backup takes what it takes)")
	f.UintSliceVar(&o.allowUIDs, "allow-uid", nil, "trust an agent that runs as this user id, beside one's own and root")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &ExitError{Code: ExitUsage, Err: err} })
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return o.check() }
	return cmd, o
}

func (o *options) check() error {
	if o.output != outputTable && o.output != outputJSON {
		return exitf(ExitUsage, "--output is %q: allowed are %s and %s", o.output, outputTable, outputJSON)
	}
	return nil
}

// who is the claimed author of a change, and why it is made.
type who struct{ author, reason string }

// addWho gives a command that changes something the options --author and --reason.
func addWho(cmd *cobra.Command) *who {
	w := &who{}
	cmd.Flags().StringVar(&w.author, "author", userName(), "who makes the change; kept beside the proven user id")
	cmd.Flags().StringVar(&w.reason, "reason", "", "why the change is made; kept with it")
	return w
}

func userName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}
