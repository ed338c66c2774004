// This file names the exit codes, so that scripts can tell what went wrong.

package commands

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// Exit codes of the operators' commands. 0 is done; 1 is any failure that has no code of its own.
const (
	ExitFailure      = 1
	ExitUsage        = 2 // wrong arguments: nothing was asked of the agent
	ExitUnreachable  = 3 // no agent answers on the socket, or its user is not trusted
	ExitRefused      = 4 // the agent refused: nothing was changed
	ExitNotPersisted = 5 // done, in memory: it could not be stored and ends with the agent
	ExitUnhealthy    = 6 // done: what was checked is not well
)

// ExitError is an error with an exit code of its own.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }
func (e *ExitError) Unwrap() error { return e.Err }

// ExitCode is the code that err asks for.
func ExitCode(err error) int {
	var exit *ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.Code
	}
	return ExitFailure
}

func exitf(code int, format string, args ...any) error {
	return &ExitError{Code: code, Err: fmt.Errorf(format, args...)}
}

// usage gives the errors of an argument check their exit code.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &ExitError{Code: ExitUsage, Err: err}
		}
		return nil
	}
}
