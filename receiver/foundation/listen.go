package foundation

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/unixsocket"
)

// openDoor is one listener and the server on it.
type openDoor struct {
	server   *http.Server
	listener net.Listener
	cancel   context.CancelFunc // of the contexts of all its requests
	draining chan struct{}
	served   sync.WaitGroup
}

// openDoors listens where the configuration says. After an error those that were opened are closed by shutdown.
func (r *foundationReceiver) openDoors(ctx context.Context, h component.Host, handler http.Handler) error {
	if r.cfg.Unix.HasValue() {
		c := r.cfg.Unix.Get()
		listener, err := c.listen()
		if err != nil {
			return err
		}
		if err := r.serve(ctx, h, &c.Server, listener, handler); err != nil {
			return err
		}
	}
	if r.cfg.HTTP.HasValue() {
		c := r.cfg.HTTP.Get()
		guarded, err := keepBrowsersOut(c, handler)
		if err != nil {
			return err
		}
		listener, err := c.ToListener(ctx)
		if err != nil {
			return err
		}
		return r.serve(ctx, h, c, listener, guarded)
	}
	return nil
}

func (c *UnixConfig) listen() (net.Listener, error) {
	mode, err := fileMode("mode", c.Mode)
	if err != nil {
		return nil, err
	}
	dirMode, err := fileMode("dir_mode", c.DirMode)
	if err != nil {
		return nil, err
	}
	return unixsocket.Listen(unixsocket.Config{Path: c.Server.NetAddr.Endpoint, Mode: mode, DirMode: dirMode, Group: c.Group})
}

func keepBrowsersOut(c *confighttp.ServerConfig, handler http.Handler) (http.Handler, error) {
	var origins []string
	if cors := c.CORS.Get(); cors != nil {
		origins = cors.AllowedOrigins
	}
	return door.KeepBrowsersOut(handler, c.NetAddr.Endpoint, origins)
}

// serve takes listener over, whatever it returns.
func (r *foundationReceiver) serve(ctx context.Context, h component.Host, c *confighttp.ServerConfig, listener net.Listener, handler http.Handler) error {
	server, err := c.ToServer(ctx, h.GetExtensions(), r.set.TelemetrySettings, handler, confighttp.WithErrorHandler(jsonError))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	d := &openDoor{server: server, listener: listener, draining: make(chan struct{})}
	base, cancel := context.WithCancel(door.WithDraining(context.WithoutCancel(ctx), d.draining))
	d.cancel = cancel
	server.BaseContext = func(net.Listener) context.Context { return base }
	server.ConnContext = unixsocket.ConnContext
	r.doors = append(r.doors, d)
	r.set.Logger.Info("Listening for applications",
		zap.String("network", listener.Addr().Network()), zap.String("endpoint", c.NetAddr.Endpoint), zap.Stringer("address", listener.Addr()))
	d.served.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(h, componentstatus.NewFatalErrorEvent(err))
		}
	})
	return nil
}

// closeDoors lets requests in flight end, and cancels those that take longer than the configured time.
func (r *foundationReceiver) closeDoors(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.ShutdownTimeout)
	defer cancel()
	errs := make([]error, len(r.doors))
	var closing sync.WaitGroup
	for i, d := range r.doors {
		closing.Go(func() { errs[i] = d.close(ctx) })
	}
	closing.Wait()
	return errors.Join(errs...)
}

func (d *openDoor) close(ctx context.Context) error {
	close(d.draining)
	err := d.server.Shutdown(ctx)
	d.cancel()
	if errors.Is(err, context.DeadlineExceeded) {
		err = d.server.Close()
	}
	d.served.Wait()
	return err
}

// jsonError is how confighttp's own refusals are written.
func jsonError(w http.ResponseWriter, _ *http.Request, message string, status int) {
	code := "body_unreadable"
	switch {
	default:
		message = "the body could not be decompressed: " + message
	case status == http.StatusUnauthorized:
		code = "unauthenticated"
	case strings.HasPrefix(message, "unsupported Content-Encoding"):
		status, code = http.StatusUnsupportedMediaType, "unsupported_encoding"
		message += "; send the body plain or with gzip"
	}
	door.WriteError(w, status, door.Error{Code: code, Message: message})
}
