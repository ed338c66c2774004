// This file is the registry's own endpoints, beside the door that it is mounted on.

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
	"go.opentelemetry.io/collector/config/confighttp"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/unixsocket"
)

// server serves until it is closed.
type server struct {
	http     *http.Server
	draining chan struct{} // closed when streams must end
	served   sync.WaitGroup
}

func (x *agentRegistry) startServers(ctx context.Context, h component.Host) error {
	if x.cfg.HTTP.HasValue() {
		mux := http.NewServeMux()
		x.MountApplication(mux)
		if err := x.serve(ctx, h, "http", x.cfg.HTTP.Get(), mux, unixsocket.ConnContext, 0); err != nil {
			return fmt.Errorf("http: %w", err)
		}
	}
	if x.cfg.OpAMP.HasValue() {
		cfg := x.cfg.OpAMP.Get()
		x.opamp = newOpAMP(x.registry, cfg)
		handler, connContext, err := x.opamp.handler()
		if err != nil {
			return fmt.Errorf("opamp: %w", err)
		}
		cfg.Server.MaxRequestBodySize = cfg.MaxMessageBytes // of plain HTTP, unpacked
		if err := x.serve(ctx, h, "opamp", &cfg.Server, handler, connContext, cfg.MaxMessageBytes); err != nil {
			return fmt.Errorf("opamp: %w", err)
		}
	}
	return nil
}

// serve listens as cfg says. Where limit is set, no connection brings more bytes between two messages.
func (x *agentRegistry) serve(ctx context.Context, h component.Host, name string, cfg *confighttp.ServerConfig, handler http.Handler,
	connContext func(context.Context, net.Conn) context.Context, limit int64,
) error {
	var origins []string
	if cors := cfg.CORS.Get(); cors != nil {
		origins = cors.AllowedOrigins
	}
	guarded, err := door.KeepBrowsersOut(handler, cfg.NetAddr.Endpoint, origins)
	if err != nil {
		return fmt.Errorf("cors::allowed_origins: %w", err)
	}
	s, err := cfg.ToServer(ctx, h.GetExtensions(), x.set.TelemetrySettings, guarded)
	if err != nil {
		return err
	}
	listener, err := cfg.ToListener(ctx)
	if err != nil {
		return err
	}
	if limit > 0 {
		listener = limitedListener{listener, limit}
	}
	draining := make(chan struct{})
	base := door.WithDraining(context.WithoutCancel(ctx), draining)
	s.BaseContext = func(net.Listener) context.Context { return base }
	s.ConnContext = connContext
	x.logger.Info("Listening for agents", zap.String("for", name), zap.Stringer("address", listener.Addr()))
	own := &server{http: s, draining: draining}
	x.servers = append(x.servers, own)
	own.served.Go(func() {
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
