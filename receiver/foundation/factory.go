package foundation

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/foundation-agent/foundation-agent/internal/enforcement"
	"github.com/foundation-agent/foundation-agent/receiver/foundation/internal/metadata"
)

// NewFactory makes foundation receivers.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(metadata.Type, createDefaultConfig,
		receiver.WithLogs(createLogs, metadata.LogsStability),
		receiver.WithTraces(createTraces, metadata.TracesStability),
	)
}

func createDefaultConfig() component.Config {
	onUnix := UnixConfig{Server: defaultServer("./var/run/app.sock"), Mode: "0660", DirMode: "0750"}
	onUnix.Server.NetAddr.Transport = confignet.TransportTypeUnix
	return &Config{
		Unix:             configoptional.Default(onUnix),
		HTTP:             configoptional.Default(defaultServer("localhost:4327")),
		Enforcement:      configoptional.Default(enforcement.NewDefaultConfig()),
		BodyTimeout:      10 * time.Second,
		ConsumeTimeout:   10 * time.Second,
		ShutdownTimeout:  5 * time.Second,
		MaxInFlightBytes: 64 << 20,
	}
}

func defaultServer(endpoint string) confighttp.ServerConfig {
	s := confighttp.NewDefaultServerConfig()
	s.NetAddr.Endpoint = endpoint
	s.MaxRequestBodySize = 4 << 20
	s.ReadHeaderTimeout = 10 * time.Second
	return s
}

func createLogs(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	s, err := shareReceiver(cfg.(*Config), set)
	if err != nil {
		return nil, err
	}
	s.logs.next = next
	return s, nil
}

// createTraces lets the receiver head a traces pipeline. It sends nothing down: the spans of its calls go
// to the open_spans table and leave by that pipeline's span_lifecycle processor. But a pipeline needs a
// receiver, and where nothing else brings spans this is the one.
func createTraces(_ context.Context, set receiver.Settings, cfg component.Config, _ consumer.Traces) (receiver.Traces, error) {
	return shareReceiver(cfg.(*Config), set)
}
