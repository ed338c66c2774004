// This file makes the extension. It starts nothing.

package migration

//go:generate mdatagen metadata.yaml

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/metadata"
)

// NewFactory returns the factory of the staged_migration extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newMigration(set, cfg.(*Config))
}
