package foundation

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/foundation-agent/foundation-agent/internal/enforcement"
)

// Config of the foundation receiver. At least one of Unix and HTTP is needed.
type Config struct {
	// Unix is the door on a unix socket.
	Unix configoptional.Optional[UnixConfig] `mapstructure:"unix"`
	// HTTP is the door on TCP, loopback by default.
	HTTP configoptional.Optional[confighttp.ServerConfig] `mapstructure:"http"`

	// BodyTimeout is how long a caller may take to send a request's body.
	BodyTimeout time.Duration `mapstructure:"body_timeout"`
	// ConsumeTimeout is how long one request may wait for the pipeline before it is answered 503.
	ConsumeTimeout time.Duration `mapstructure:"consume_timeout"`
	// ShutdownTimeout is how long requests in flight have to end when the receiver stops.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
	// MaxInFlightBytes bounds the bodies of all requests being served; what exceeds it is answered 503.
	MaxInFlightBytes int64 `mapstructure:"max_in_flight_bytes"`

	// Registry is the agent_registry extension that proves agent ids. Without it none is doubted.
	Registry *component.ID `mapstructure:"registry"`
	// OpenSpans is the open_spans extension behind the span and context calls. Without it they are refused.
	OpenSpans *component.ID `mapstructure:"open_spans"`
	// Control is the control extension, where operators see what enforcement finds. Optional.
	Control *component.ID `mapstructure:"control"`
	// Enforcement, where present, looks for records of the users' old code path: counted and marked first,
	// refused while its flag is on.
	Enforcement configoptional.Optional[enforcement.Config] `mapstructure:"enforcement"`
	// Mount lists extensions whose handlers for applications are served here (door.Handlers).
	Mount []component.ID `mapstructure:"mount"`
	// EventsFrom lists extensions whose events are put into the pipeline (extevent.Source).
	EventsFrom []component.ID `mapstructure:"events_from"`
}

// UnixConfig is a unix socket and the HTTP server on it.
type UnixConfig struct {
	// Server's endpoint is the path of the socket. TLS and authentication do not apply: Mode and Group
	// say who may connect. (Not embedded: its Unmarshal would become UnixConfig's.)
	Server confighttp.ServerConfig `mapstructure:",squash"`
	// Mode of the socket, octal ("0660").
	Mode string `mapstructure:"mode"`
	// Group that owns the socket, by name or number; empty leaves the process's own.
	Group string `mapstructure:"group"`
	// DirMode of the socket's directory, octal, where it has to be created.
	DirMode string `mapstructure:"dir_mode"`
}

// Validate implements xconfmap.Validator.
func (c *Config) Validate() error {
	var errs []error
	if !c.Unix.HasValue() && !c.HTTP.HasValue() {
		errs = append(errs, errors.New("unix, http: both are absent; configure at least one"))
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"body_timeout", c.BodyTimeout}, {"consume_timeout", c.ConsumeTimeout}, {"shutdown_timeout", c.ShutdownTimeout}} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s: %s is not allowed; give a duration above 0", d.key, d.value))
		}
	}
	if c.HTTP.HasValue() {
		errs = append(errs, c.validateServer("http", c.HTTP.Get()))
	}
	if c.Unix.HasValue() {
		errs = append(errs, c.validateServer("unix", &c.Unix.Get().Server))
	}
	errs = append(errs, unique("mount", c.Mount), unique("events_from", c.EventsFrom))
	return errors.Join(errs...)
}

func (c *Config) validateServer(key string, s *confighttp.ServerConfig) error {
	var errs []error
	if s.MaxRequestBodySize <= 0 || s.MaxRequestBodySize > c.MaxInFlightBytes {
		errs = append(errs, fmt.Errorf("%s::max_request_body_size: %d is not allowed; give 1 to max_in_flight_bytes (%d)",
			key, s.MaxRequestBodySize, c.MaxInFlightBytes))
	}
	if longest := c.BodyTimeout + c.ConsumeTimeout; s.WriteTimeout > 0 && s.WriteTimeout <= longest {
		errs = append(errs, fmt.Errorf("%s::write_timeout: %s is not allowed; give 0 or more than body_timeout + consume_timeout (%s), or events that were taken may go unanswered",
			key, s.WriteTimeout, longest))
	}
	return errors.Join(errs...)
}

// Validate implements xconfmap.Validator.
func (c *UnixConfig) Validate() error {
	var errs []error
	if c.Server.NetAddr.Endpoint == "" {
		errs = append(errs, errors.New("endpoint: empty; give the path of the socket"))
	}
	if c.Server.TLS.HasValue() || c.Server.Auth.HasValue() || c.Server.CORS.HasValue() {
		errs = append(errs, errors.New("tls, auth, cors: not allowed on a unix socket; mode and group say who may connect"))
	}
	if _, err := fileMode("mode", c.Mode); err != nil {
		errs = append(errs, err)
	}
	if _, err := fileMode("dir_mode", c.DirMode); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func fileMode(key, value string) (os.FileMode, error) {
	mode, err := strconv.ParseUint(value, 8, 32)
	if err != nil || mode > 0o777 {
		return 0, fmt.Errorf("%s: %q is no file mode; give octal digits between \"0000\" and \"0777\"", key, value)
	}
	return os.FileMode(mode), nil
}

func unique(key string, ids []component.ID) error {
	seen := map[component.ID]bool{}
	for _, id := range ids {
		if seen[id] {
			return fmt.Errorf("%s: %q is listed twice; list it once", key, id)
		}
		seen[id] = true
	}
	return nil
}
