// Program foundation-agent is a distribution of the OpenTelemetry Collector: the collector's own
// command, run with an embedded configuration where none is given, and the operators' commands beside it.
package main

import (
	"os"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/otelcol"

	"github.com/foundation-agent/foundation-agent/cmd/foundation-agent/commands"
)

// version is set by the linker.
var version = "0.1.0-dev"

func main() {
	root := otelcol.NewCommand(settings())
	root.AddCommand(commands.New()...)
	// cobra has printed the error.
	os.Exit(commands.ExitCode(root.Execute()))
}

// settings are the collector's: what it is called, of what it is made, and where configuration comes from.
// The providers are those of builder-config.yaml (TestProvidersMatchManifest).
func settings() otelcol.CollectorSettings {
	return otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{
			Command:     "foundation-agent",
			Description: "Telemetry agent that loses no event, no span and no state",
			Version:     version,
		},
		Factories: components,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				ProviderFactories: []confmap.ProviderFactory{
					envprovider.NewFactory(),
					fileprovider.NewFactory(),
					yamlprovider.NewFactory(),
				},
			},
		},
	}
}
