// This file is the extension: its table, its middleware, its metrics.

package wirededup

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"

	"github.com/foundation-agent/foundation-agent/extension/wirededup/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/wire"
)

var (
	_ extensionmiddleware.GRPCServer = (*sieve)(nil)
	_ wire.Sieve                     = (*sieve)(nil)
)

var errBound = errors.New("another event_dedup has named this wire_dedup already: each needs one of its own")

// sieve is the extension. Safe for concurrent use.
type sieve struct {
	set    extension.Settings
	errors bool
	start  time.Time
	memory *memory
	table  atomic.Pointer[wire.Table] // nil: all requests pass

	records, requests atomic.Int64
	idle              atomic.Int64 // requests since a repeat was found

	telemetry *metadata.TelemetryBuilder
}

func newSieve(set extension.Settings, cfg *Config) *sieve {
	return &sieve{set: set, errors: cfg.Errors, start: time.Now(), memory: newMemory()}
}

// Start registers the metrics.
func (s *sieve) Start(context.Context, component.Host) error {
	var err error
	if s.telemetry, err = metadata.NewTelemetryBuilder(s.set.TelemetrySettings); err != nil {
		return err
	}
	count := func(n *atomic.Int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(n.Load())
			return nil
		}
	}
	return errors.Join(
		s.telemetry.RegisterWireDedupRecordsCallback(count(&s.records)),
		s.telemetry.RegisterWireDedupRequestsCallback(count(&s.requests)))
}

// Shutdown ends the metrics.
func (s *sieve) Shutdown(context.Context) error {
	if s.telemetry != nil {
		s.telemetry.Shutdown()
	}
	return nil
}

// Bind implements wire.Sieve.
func (s *sieve) Bind(t wire.Table) (unbind func(), err error) {
	if !s.table.CompareAndSwap(nil, &t) {
		return nil, errBound
	}
	return func() {
		s.table.CompareAndSwap(&t, nil)
		s.memory.forget()
	}, nil
}

// GetGRPCServerOptions implements extensionmiddleware.GRPCServer.
func (s *sieve) GetGRPCServerOptions(context.Context) ([]grpc.ServerOption, error) {
	m := newMiddleware(s)
	return []grpc.ServerOption{grpc.ForceServerCodecV2(m), grpc.StatsHandler(m), grpc.ChainUnaryInterceptor(m.answer)}, nil
}

// now is the time since the start, which does not go back.
func (s *sieve) now() time.Duration { return time.Since(s.start) }

const (
	patience = 8 // requests without a repeat after which only some are looked through
	oneIn    = 8
)

// look reports whether the next request is worth looking through: where nothing repeats, most are not.
func (s *sieve) look() bool {
	n := s.idle.Add(1)
	return n <= patience || n%oneIn == 0
}
