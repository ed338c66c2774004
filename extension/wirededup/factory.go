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

// Config says which repeats are taken out; what repeats, and for how long, event_dedup says.
type Config struct {
	// Errors takes out repeats of severity ERROR and above too. Processors before event_dedup do not see what is
	// taken out: span_lifecycle, by whose counts of errors rollouts are guarded, among them.
	Errors bool `mapstructure:"errors"`
}

func createDefaultConfig() component.Config { return &Config{} }

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newSieve(set, cfg.(*Config)), nil
}
