// Package commands holds the operators' commands of foundation-agent. Each speaks to the running
// agent: most over the operators' socket, those that act as an application over the applications'.
package commands

import "github.com/spf13/cobra"

// New returns the operators' commands, to be added to the collector's own.
func New() []*cobra.Command {
	return []*cobra.Command{
		statusCommand(),
		diagnosticsCommand(),
		flagsCommand(),
		registryCommand(),
		spansCommand(),
		contextCommand(),
		eventsCommand(),
		logsCommand(),
		tablesCommand(),
		preflightCommand(),
		baselineCommand(),
		migrateCommand(),
	}
}
