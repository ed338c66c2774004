// Package openspans is the open_spans extension: the table of open spans, the stacks of the processes
// that opened them, and the error contexts around them.
package openspans

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/foundation-agent/foundation-agent/extension/openspans/internal/metadata"
)

// NewFactory returns the factory of the open_spans extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newOpenSpans(set, cfg.(*Config))
}
