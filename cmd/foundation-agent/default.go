package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/baggage"
	"go.yaml.in/yaml/v3"

	"github.com/foundation-agent/foundation-agent/config"
)

// useDefaultConfig gives the embedded configuration to a command that takes --config and got none. A
// default set any other way would be replaced by --set.
func useDefaultConfig(cmd *cobra.Command) error {
	flag := cmd.Flags().Lookup("config")
	if flag == nil || flag.Changed {
		return nil
	}
	docs := []string{config.Agent}
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" {
		export, err := exportFromEnv(os.Getenv)
		if err != nil {
			return err
		}
		docs = append(docs, export...)
	}
	for _, doc := range docs {
		if err := flag.Value.Set("yaml:" + doc); err != nil {
			return err
		}
	}
	return nil
}

// exportFromEnv returns the overlays that export to OTEL_EXPORTER_OTLP_ENDPOINT, as the OpenTelemetry
// specification says of these variables ("OpenTelemetry Protocol Exporter", Configuration Options).
func exportFromEnv(getenv func(string) string) ([]string, error) {
	settings := map[string]any{}
	name, overlay := "otlp_http", config.ExportHTTP
	switch protocol := getenv("OTEL_EXPORTER_OTLP_PROTOCOL"); protocol {
	case "", "http/protobuf":
	case "http/json":
		settings["encoding"] = "json"
	case "grpc":
		name, overlay = "otlp_grpc", config.ExportGRPC
		if strings.EqualFold(getenv("OTEL_EXPORTER_OTLP_INSECURE"), "true") {
			settings["tls"] = map[string]any{"insecure": true}
		}
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q: allowed are grpc, http/protobuf, http/json", protocol)
	}
	if raw := getenv("OTEL_EXPORTER_OTLP_HEADERS"); raw != "" {
		headers, err := parseHeaders(raw)
		if err != nil {
			return nil, err
		}
		settings["headers"] = headers
	}
	if len(settings) == 0 {
		return []string{overlay}, nil
	}
	extra, err := yaml.Marshal(map[string]any{"exporters": map[string]any{name: settings}})
	if err != nil {
		return nil, err
	}
	return []string{overlay, string(extra)}, nil
}

// parseHeaders reads key=value pairs in the format of W3C Baggage, as the specification says.
func parseHeaders(raw string) (map[string]string, error) {
	bag, err := baggage.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS must be key=value pairs, comma-separated and percent-encoded: %w", err)
	}
	headers := map[string]string{}
	for _, m := range bag.Members() {
		headers[m.Key()] = strings.ReplaceAll(m.Value(), "$", "$$") // the collector expands $ in configuration
	}
	return headers, nil
}
