// Package registry is the agent_registry extension: which agents live on this host, found in
// nanoseconds, and which one just died, known within milliseconds, with the reason.
package registry

//go:generate mdatagen metadata.yaml

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/foundation-agent/foundation-agent/extension/registry/internal/metadata"
)

// NewFactory returns the factory of the agent_registry extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(
		metadata.Type,
		createDefaultConfig,
		func(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
			return newExtension(set, cfg.(*Config))
		},
		metadata.ExtensionStability,
	)
}
