package dedup

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
)

const (
	maxKeysLimit = 1 << 28
	maxReservoir = 1 << 20
)

type dedupProcessor struct {
	component.StartFunc
	component.ShutdownFunc
	next consumer.Logs
}

func newProcessor(_ processor.Settings, _ *Config, next consumer.Logs) (*dedupProcessor, error) {
	return &dedupProcessor{next: next}, nil
}

func (p *dedupProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (p *dedupProcessor) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	return p.next.ConsumeLogs(ctx, ld)
}
