// Package config holds the configurations that the binary carries.
package config

import _ "embed"

// Agent is the default: what the agent runs where no --config is given.
//
//go:embed agent.yaml
var Agent string

// ExportHTTP and ExportGRPC are overlays of Agent that add an exporter to OTEL_EXPORTER_OTLP_ENDPOINT.
//
//go:embed export-http.yaml
var ExportHTTP string

//go:embed export-grpc.yaml
var ExportGRPC string
