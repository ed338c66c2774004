// Program foundation-agent is a distribution of the OpenTelemetry Collector: the collector's own
// command, run with an embedded configuration where none is given, and the operators' commands beside it.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/otelcol"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/cmd/foundation-agent/commands"
)

// What was built, set by the linker: a version, the commit and its date.
var (
	version = "0.1.0-dev"
	commit  = "unknown"
	date    = "unknown"
)

func main() {
	// cobra has printed the error.
	os.Exit(commands.ExitCode(command().Execute()))
}

// command is the collector's, with the embedded configuration as its default, and the operators' commands.
func command() *cobra.Command {
	starts := &starter{out: os.Stderr}
	cmd := otelcol.NewCommand(settings(starts))
	cmd.SetVersionTemplate(fmt.Sprintf("{{.Name}} {{.Version}} (commit %s, %s)\n", commit, date))
	cmd.Short = "A telemetry agent that loses no event, no span and no state"
	cmd.Long = cmd.Short + ".\n\nWithout a command it runs the agent: with --config, or with the configuration that the binary carries."
	cmd.Example = "  foundation-agent\n  foundation-agent --config config/agent.yaml --config config/stages.yaml\n  foundation-agent status"
	for _, flag := range []string{"feature-gates", "config"} {
		cmd.Flags().Lookup(flag).DefValue = "" // a page of gates, an empty list
	}
	cmd.Flags().Lookup("config").Usage = "`location` of a configuration: a file, or file:, env:, yaml: and a value; given again, merged over the ones before"
	for _, c := range cmd.Commands() {
		c.GroupID = collectorGroup
	}
	for _, c := range commands.New() {
		c.GroupID = operatorsGroup
		cmd.AddCommand(c)
	}
	cmd.AddGroup(
		&cobra.Group{ID: operatorsGroup, Title: "Operate a running agent:"},
		&cobra.Group{ID: collectorGroup, Title: "Look at configurations and components:"},
	)
	cmd.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		starts.enabled = c == cmd // `validate` and `print-config` resolve the configuration too
		return useDefaultConfig(c)
	}
	return cmd
}

// Groups of commands in the help.
const (
	operatorsGroup = "operators"
	collectorGroup = "collector"
)

// settings are the collector's: what it is called, of what it is made, and where configuration comes from.
// The providers are those of builder-config.yaml (TestProvidersMatchManifest).
func settings(starts *starter) otelcol.CollectorSettings {
	return otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{
			Command:     "foundation-agent",
			Description: "Telemetry agent that loses no event, no span and no state",
			Version:     version,
		},
		Factories:      components,
		LoggingOptions: []zap.Option{zap.Hooks(starts.hook)},
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				ProviderFactories:  providers(),
				ConverterFactories: []confmap.ConverterFactory{starts.factory()},
			},
		},
	}
}

func providers() []confmap.ProviderFactory {
	return []confmap.ProviderFactory{
		envprovider.NewFactory(),
		fileprovider.NewFactory(),
		yamlprovider.NewFactory(),
	}
}
