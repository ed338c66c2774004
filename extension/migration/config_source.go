// This file is the configuration of sources: where numbers are read from.

package migration

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/confmap"
)

// Types of sources.
const (
	sourceSelf       = "self"       // the agent's own telemetry, by its own Prometheus endpoint
	sourcePrometheus = "prometheus" // a Prometheus or OpenMetrics endpoint
	sourcePromQL     = "promql"     // a Prometheus server, asked by queries
	sourceVitals     = "vitals"     // what registered agents send with their heartbeats
)

// SourceConfig is a place that numbers are read from.
type SourceConfig struct {
	// Type is "self", "prometheus" or "promql".
	Type string `mapstructure:"type"`
	// ClientConfig says how: endpoint, timeout, TLS, authentication, headers. The endpoint of self is
	// found in service::telemetry where it is not given here.
	confighttp.ClientConfig `mapstructure:",squash"`
}

var _ confmap.Unmarshaler = (*SourceConfig)(nil)

// Unmarshal gives a source the HTTP client's defaults before it is read.
func (c *SourceConfig) Unmarshal(conf *confmap.Conf) error {
	c.ClientConfig = confighttp.NewDefaultClientConfig()
	return conf.Unmarshal(c)
}

func (c *Config) validateSources() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		s := c.Sources[name]
		key := "sources::" + name
		switch {
		case name == vitalsSource:
			errs = append(errs, fmt.Errorf("%s: the name is taken: those are the vitals of registered agents", key))
		case s.Type != sourceSelf && s.Type != sourcePrometheus && s.Type != sourcePromQL:
			errs = append(errs, fmt.Errorf("%s::type: %q: must be %s, %s or %s", key, s.Type, sourceSelf, sourcePrometheus, sourcePromQL))
		case (name == selfSource) != (s.Type == sourceSelf):
			errs = append(errs, fmt.Errorf("%s::type: %q: the source named %q, and no other, is of type %q", key, s.Type, selfSource, sourceSelf))
		case s.Type != sourceSelf && s.Endpoint == "":
			errs = append(errs, fmt.Errorf("%s::endpoint: is required: a URL such as http://127.0.0.1:9090", key))
		}
	}
	return errors.Join(errs...)
}

// sourceType returns the type of the source named, "" where there is none.
func (c *Config) sourceType(name string) string {
	if s, ok := c.Sources[name]; ok {
		return s.Type
	}
	switch name {
	case selfSource:
		return sourceSelf
	case vitalsSource:
		return sourceVitals
	}
	return ""
}

func (c *Config) sourceNames() string {
	names := map[string]bool{selfSource: true, vitalsSource: true}
	for name := range c.Sources {
		names[name] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}
