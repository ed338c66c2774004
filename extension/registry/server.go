// This file is the registry's own endpoint, beside the door that it is mounted on.

package registry

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"
)

// server serves until it is closed.
type server struct {
	http   *http.Server
	served sync.WaitGroup
}

func (x *agentRegistry) startServer(ctx context.Context, h component.Host) error {
	if !x.cfg.HTTP.HasValue() {
		return nil
	}
	cfg := x.cfg.HTTP.Get()
	mux := http.NewServeMux()
	x.MountApplication(mux)
	s, err := cfg.ToServer(ctx, h.GetExtensions(), x.set.TelemetrySettings, mux)
	if err != nil {
		return err
	}
	listener, err := cfg.ToListener(ctx)
	if err != nil {
		return err
	}
	x.logger.Info("Listening for agents", zap.Stringer("address", listener.Addr()))
	x.server = &server{http: s}
	x.server.served.Go(func() {
		if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(h, componentstatus.NewFatalErrorEvent(err))
		}
	})
	return nil
}

func (s *server) close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	s.served.Wait()
	return err
}
