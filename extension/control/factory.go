// Package control is the operators' door: an API on a unix socket that the extensions it serves fill
// with routes, an audit of each mutation, tables, diagnostics and a read-only status page.
package control

//go:generate mdatagen metadata.yaml

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/extension"

	"github.com/foundation-agent/foundation-agent/extension/control/internal/metadata"
)

// Defaults of the configuration.
const (
	defaultSocketPath      = "var/control/control.sock"
	defaultTCPEndpoint     = "localhost:8891"
	defaultPageEndpoint    = "localhost:8890"
	defaultAuditEntries    = 1000
	defaultMaxRestoreBytes = 1 << 30
	defaultCheckTimeout    = 10 * time.Second
)

// NewFactory returns the factory of the control extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func createDefaultConfig() component.Config {
	tcp := confighttp.NewDefaultServerConfig()
	tcp.NetAddr.Endpoint = defaultTCPEndpoint
	page := confighttp.NewDefaultServerConfig()
	page.NetAddr.Endpoint = defaultPageEndpoint
	return &Config{
		Socket:          SocketConfig{Path: defaultSocketPath, Mode: 0o600},
		TCP:             configoptional.Default(tcp),
		StatusPage:      configoptional.Default(page),
		AuditEntries:    defaultAuditEntries,
		MaxRestoreBytes: defaultMaxRestoreBytes,
		CheckTimeout:    defaultCheckTimeout,
	}
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newControl(set, cfg.(*Config))
}
