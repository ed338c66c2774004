package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"go.opentelemetry.io/collector/confmap"
)

// doors are the places where the agent may listen, by configuration key, in the order of the first screen.
var doors = []struct{ key, what, format string }{
	{"receivers::otlp::protocols::grpc::endpoint", "OTLP/gRPC", "%v"},
	{"receivers::otlp::protocols::http::endpoint", "OTLP/HTTP", "http://%v"},
	{"receivers::foundation::unix::endpoint", "applications", "unix:%v"},
	{"receivers::foundation::http::endpoint", "applications", "http://%v"},
	{"extensions::control::socket::path", "operators", "unix:%v"},
	{"extensions::control::status_page::endpoint", "status page", "http://%v"},
	{"extensions::health_check::endpoint", "health", "http://%v"},
}

// writeWelcome shows on one screen what listens where, where state is, and what to try next.
func writeWelcome(out io.Writer, conf *confmap.Conf) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "\nfoundation-agent %s\n\n", version)
	for _, d := range doors {
		if where := conf.Get(d.key); where != nil {
			fmt.Fprintf(w, "  %s\t%s\n", d.what, fmt.Sprintf(d.format, where))
		}
	}
	if where, ok := metricsEndpoint(conf); ok {
		fmt.Fprintf(w, "  own metrics\t%s\n", where)
	}
	for _, dir := range stateDirs(conf) {
		fmt.Fprintf(w, "  state\t%s (survives kill -9; power loss only with fsync)\n", dir)
	}
	fmt.Fprintf(w, "  exports to\t%s\n", strings.Join(destinations(conf), ", "))
	if socket, ok := conf.Get("receivers::foundation::unix::endpoint").(string); ok {
		if abs, err := filepath.Abs(socket); err == nil { // the other terminal may be elsewhere
			socket = abs
		}
		fmt.Fprintf(w, "\nTry, in another terminal:\n\n  curl --unix-socket %s http://agent/v1/events \\\n"+
			"    -H 'Content-Type: application/json' \\\n"+
			"    -d '{\"name\": \"hello.world\", \"measurements\": {\"count\": 1}, \"metadata\": {\"dedup_key\": \"first\"}}'\n", socket)
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// destinations are the exporters in use, with their endpoints where they have one.
func destinations(conf *confmap.Conf) []string {
	var found []string
	pipelines, _ := conf.Get("service::pipelines").(map[string]any)
	for name := range pipelines {
		exporters, _ := conf.Get("service::pipelines::" + name + "::exporters").([]any)
		for _, id := range exporters {
			text := fmt.Sprint(id)
			if endpoint := conf.Get("exporters::" + text + "::endpoint"); endpoint != nil {
				text = fmt.Sprintf("%s (%v)", text, endpoint)
			}
			found = append(found, text)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// metricsEndpoint is where the first Prometheus reader of the agent's own metrics listens.
func metricsEndpoint(conf *confmap.Conf) (string, bool) {
	readers, _ := conf.Get("service::telemetry::metrics::readers").([]any)
	for _, r := range readers {
		reader, _ := r.(map[string]any)
		prometheus, err := confmap.NewFromStringMap(reader).Sub("pull::exporter::prometheus")
		if err == nil && prometheus.IsSet("port") {
			return fmt.Sprintf("http://%v:%v/metrics", prometheus.Get("host"), prometheus.Get("port")), true
		}
	}
	return "", false
}
