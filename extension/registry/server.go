// This file is the registry's own endpoint, beside the door that it is mounted on.

package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

// server serves until it is closed.
type server struct {
	http     *http.Server
	draining chan struct{} // closed when streams must end
	served   sync.WaitGroup
}

func (x *agentRegistry) startServer(ctx context.Context, h component.Host) error {
	if !x.cfg.HTTP.HasValue() {
		return nil
	}
	cfg := x.cfg.HTTP.Get()
	mux := http.NewServeMux()
	x.MountApplication(mux)
	var origins []string
	if cors := cfg.CORS.Get(); cors != nil {
		origins = cors.AllowedOrigins
	}
	guarded, err := door.KeepBrowsersOut(mux, cfg.NetAddr.Endpoint, origins)
	if err != nil {
		return fmt.Errorf("http::cors::allowed_origins: %w", err)
	}
	s, err := cfg.ToServer(ctx, h.GetExtensions(), x.set.TelemetrySettings, guarded)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	listener, err := cfg.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	draining := make(chan struct{})
	base := door.WithDraining(context.WithoutCancel(ctx), draining)
	s.BaseContext = func(net.Listener) context.Context { return base }
	x.logger.Info("Listening for agents", zap.Stringer("address", listener.Addr()))
	x.server = &server{http: s, draining: draining}
	x.server.served.Go(func() {
		if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(h, componentstatus.NewFatalErrorEvent(err))
		}
	})
	return nil
}

func (s *server) close(ctx context.Context) error {
	close(s.draining)
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	s.served.Wait()
	return err
}
