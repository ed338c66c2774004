// Package config holds the configurations that the binary carries.
package config

import _ "embed"

// Agent is the default: what the agent runs where no --config is given.
//
//go:embed agent.yaml
var Agent string

// ExportHTTP is an overlay of Agent that adds an OTLP/HTTP exporter to OTEL_EXPORTER_OTLP_ENDPOINT.
//
//go:embed export-http.yaml
var ExportHTTP string

// ExportGRPC is the same by OTLP/gRPC.
//
//go:embed export-grpc.yaml
var ExportGRPC string
