// Package dedup is the event_dedup processor: floods of events are deduplicated, sampled and batched,
// and the weights of what leaves sum to the weights that came in.
//
// A batch is planned (every record gets a verdict, firsts are reserved), what passes is handed to the
// next consumer, and only its answer decides whether the plan is committed or undone (processor.go).
package dedup

//go:generate mdatagen metadata.yaml

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"github.com/foundation-agent/foundation-agent/processor/dedup/internal/metadata"
)

// NewFactory returns the factory of the event_dedup processor.
func NewFactory() processor.Factory {
	return processor.NewFactory(metadata.Type, createDefaultConfig,
		processor.WithLogs(createLogs, metadata.LogsStability))
}

func createDefaultConfig() component.Config {
	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval = 100 * time.Millisecond
	retry.MaxInterval = 5 * time.Second
	retry.MaxElapsedTime = 0
	return &Config{
		MaxKeys:                  1_000_000,
		MaxBytes:                 64 << 20,
		Queue:                    QueueConfig{Records: 10_000, Bytes: 16 << 20},
		Retry:                    retry,
		StorageInterval:          200 * time.Millisecond,
		OnShutdown:               shutdownKeep,
		MetadataCardinalityLimit: 1000,
		Flag:                     defaultFlag,
	}
}

func createLogs(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	return newProcessor(set, cfg.(*Config), next)
}
