// This file makes the extension. It starts nothing.

package flags

import (
	"context"
	"os"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/extension"

	"github.com/foundation-agent/foundation-agent/extension/flags/internal/metadata"
)

// NewFactory returns the factory of the feature_flags extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func createDefaultConfig() component.Config {
	return &Config{
		OFREP: OFREPConfig{
			HTTP:         configoptional.Default(confighttp.NewDefaultServerConfig()),
			MaxBodyBytes: 64 << 10,
			MaxStreams:   64,
		},
	}
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	c := *cfg.(*Config)
	if c.HostKey == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, err
		}
		c.HostKey = name
	}
	return newExtension(set, &c)
}
