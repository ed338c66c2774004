// This file listens: on the operators' unix socket, and on TCP as confighttp says.

package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/unixsocket"
)

const (
	readHeaderTimeout = 10 * time.Second
	// shutdownGrace is how long requests under way may take to end at shutdown.
	shutdownGrace = 2 * time.Second
)

// server is one listener and what serves it.
type server struct {
	http     *http.Server
	listener net.Listener
	draining chan struct{} // closed when shutdown begins: streams end
	done     chan struct{} // closed when Serve has returned; nil before serve
}

func newServer(s *http.Server, l net.Listener) *server {
	draining := make(chan struct{})
	ctx := door.WithDraining(context.Background(), draining)
	s.BaseContext = func(net.Listener) context.Context { return ctx }
	return &server{http: s, listener: l, draining: draining}
}

func listenSocket(cfg SocketConfig, set component.TelemetrySettings, api http.Handler) (*server, error) {
	l, err := unixsocket.Listen(unixsocket.Config{Path: cfg.Path, DirMode: 0o700, Mode: cfg.Mode})
	if err != nil {
		return nil, err
	}
	if err := checkDirectory(filepath.Dir(cfg.Path), cfg.Mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	handler, err := door.KeepBrowsersOut(api, "", nil)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	errorLog, err := zap.NewStdLogAt(set.Logger, zap.WarnLevel)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return newServer(&http.Server{
		Handler:           handler,
		ConnContext:       unixsocket.ConnContext,
		ReadHeaderTimeout: readHeaderTimeout,
		ErrorLog:          errorLog,
	}, l), nil
}

// checkDirectory refuses a directory that others may enter: the socket's mode alone does not stop
// them from putting another in its place. A socket for a group lets that group in, read-only.
func checkDirectory(dir string, socketMode os.FileMode) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	allowed := os.FileMode(0o700)
	if socketMode&0o060 != 0 {
		allowed = 0o750
	}
	if mode := info.Mode().Perm(); mode&^allowed != 0 {
		return fmt.Errorf("directory %s has mode %#o: the operators' socket needs %#o or less; use a directory of its own", dir, mode, allowed)
	}
	return nil
}

func listenTCP(ctx context.Context, h component.Host, cfg *confighttp.ServerConfig, set component.TelemetrySettings, handler http.Handler) (*server, error) {
	var origins []string
	if cors := cfg.CORS.Get(); cors != nil {
		origins = cors.AllowedOrigins
	}
	handler, err := door.KeepBrowsersOut(handler, cfg.NetAddr.Endpoint, origins)
	if err != nil {
		return nil, err
	}
	s, err := cfg.ToServer(ctx, h.GetExtensions(), set, handler)
	if err != nil {
		return nil, err
	}
	l, err := cfg.ToListener(ctx)
	if err != nil {
		return nil, err
	}
	return newServer(s, l), nil
}

func (s *server) serve(h component.Host) {
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(h, componentstatus.NewFatalErrorEvent(err))
		}
	}()
}

func (s *server) shutdown(ctx context.Context) error {
	close(s.draining)
	if s.done == nil {
		return s.listener.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, shutdownGrace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if ctx.Err() != nil {
		err = s.http.Close() // ends the requests that are still under way
	}
	<-s.done
	return err
}
