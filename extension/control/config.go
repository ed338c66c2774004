// This file is the control extension's configuration.

package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/config/configoptional"
)

// Config of the control extension.
type Config struct {
	// Socket is the operators' unix socket.
	Socket SocketConfig `mapstructure:"socket"`
	// TCP serves the same API over TCP. It needs `auth`, or is refused.
	TCP configoptional.Optional[confighttp.ServerConfig] `mapstructure:"tcp"`
	// StatusPage serves the read-only status page. Without `auth` it must be on a loopback address.
	StatusPage configoptional.Optional[confighttp.ServerConfig] `mapstructure:"status_page"`
	// Serve names the extensions whose operator routes, tables and checks are served.
	Serve []component.ID `mapstructure:"serve"`
	// AuditEntries is how many mutations the API remembers. The log has them all.
	AuditEntries int `mapstructure:"audit_entries"`
	// MaxRestoreBytes bounds what a restored backup may unpack to, over all its tables.
	MaxRestoreBytes int64 `mapstructure:"max_restore_bytes"`
	// CheckTimeout bounds each component's self-check.
	CheckTimeout time.Duration `mapstructure:"check_timeout"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// SocketConfig says where the operators' socket is. Its directory is for the agent's user alone.
type SocketConfig struct {
	// Path of the socket. Its directory is created with mode 0700; one that others may enter is refused.
	Path string `mapstructure:"path"`
	// Mode of the socket: 0600 unless a group of operators is to connect.
	Mode os.FileMode `mapstructure:"mode"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// maxSocketPath is the longest path that fits sockaddr_un (unix(7)), less the suffix of the private name.
const maxSocketPath = 107 - len(".new")

// Validate refuses what could never work, and what would give an operator's power away.
func (c *Config) Validate() error {
	var errs []error
	if c.Socket.Path == "" {
		errs = append(errs, errors.New(`socket::path is empty: give the path of the operators' socket`))
	}
	if n := len(c.Socket.Path); n > maxSocketPath {
		errs = append(errs, fmt.Errorf("socket::path is %d bytes long: a unix socket's path has at most %d", n, maxSocketPath))
	}
	if c.Socket.Mode&^0o660 != 0 || c.Socket.Mode&0o600 != 0o600 {
		errs = append(errs, fmt.Errorf("socket::mode is %#o: allowed are 0600 and, for a group of operators, 0660", c.Socket.Mode))
	}
	if c.AuditEntries < 1 {
		errs = append(errs, fmt.Errorf("audit_entries is %d: at least 1", c.AuditEntries))
	}
	if c.MaxRestoreBytes < 1 {
		errs = append(errs, fmt.Errorf("max_restore_bytes is %d: at least 1", c.MaxRestoreBytes))
	}
	if c.CheckTimeout <= 0 {
		errs = append(errs, fmt.Errorf("check_timeout is %s: more than 0", c.CheckTimeout))
	}
	return errors.Join(append(errs, c.validateTCP()...)...)
}

func (c *Config) validateTCP() (errs []error) {
	if tcp := c.TCP.Get(); tcp != nil && !tcp.Auth.HasValue() {
		errs = append(errs, errors.New("tcp is set without tcp::auth: the operators' API is served over TCP only with an authenticator, for example auth: {authenticator: bearertokenauth}"))
	}
	if page := c.StatusPage.Get(); page != nil && !page.Auth.HasValue() && !isLoopback(page.NetAddr.Endpoint) {
		errs = append(errs, fmt.Errorf("status_page::endpoint is %q without status_page::auth: allowed are loopback addresses such as localhost:8890, or any with an authenticator", page.NetAddr.Endpoint))
	}
	for key, server := range map[string]*confighttp.ServerConfig{"tcp": c.TCP.Get(), "status_page": c.StatusPage.Get()} {
		if server != nil && server.NetAddr.Transport != confignet.TransportTypeTCP {
			errs = append(errs, fmt.Errorf("%s::transport is %q: allowed is tcp (unix sockets are set by socket::path)", key, server.NetAddr.Transport))
		}
	}
	return errs
}

// isLoopback reports whether endpoint ("host:port") names the loopback interface.
func isLoopback(endpoint string) bool {
	host, _, err := net.SplitHostPort(endpoint)
	return err == nil && isLoopbackHost(host)
}

func isLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
