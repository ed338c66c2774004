// Package wirededup is the wire_dedup extension: a middleware of OTLP/gRPC receivers that takes repeats which
// event_dedup would suppress out of a request before it is decoded. Decoding is most of what a record costs.
package wirededup

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/foundation-agent/foundation-agent/extension/wirededup/internal/metadata"
)

// NewFactory returns the factory of the wire_dedup extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

// Config has no options: what repeats, and for how long, event_dedup says.
type Config struct{}

func createDefaultConfig() component.Config { return &Config{} }

func create(_ context.Context, set extension.Settings, _ component.Config) (extension.Extension, error) {
	return newSieve(set), nil
}
