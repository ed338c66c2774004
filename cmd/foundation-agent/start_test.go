package main

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

func TestExportFromEnv(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	tests := map[string]struct {
		env  func(string) string
		want []string // parts of the last overlay
		err  string
	}{
		"unset":     {env: env(), want: []string{"otlp_http:", "OTLP/HTTP"}},
		"protobuf":  {env: env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), want: []string{"otlp_http:"}},
		"json":      {env: env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"), want: []string{"otlp_http:", "encoding: json"}},
		"grpc":      {env: env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), want: []string{"otlp_grpc:"}},
		"insecure":  {env: env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_INSECURE", "true"), want: []string{"insecure: true"}},
		"headers":   {env: env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b$c,x=y"), want: []string{"api-key: a b$$c", "x: \"y\""}},
		"protocol":  {env: env("OTEL_EXPORTER_OTLP_PROTOCOL", "udp"), err: `"udp": allowed are grpc, http/protobuf, http/json`},
		"no header": {env: env("OTEL_EXPORTER_OTLP_HEADERS", "novalue,=,"), err: "OTEL_EXPORTER_OTLP_HEADERS"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			docs, err := exportFromEnv(test.env)
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			for _, part := range test.want {
				require.Contains(t, docs[len(docs)-1], part)
			}
		})
	}
}

func TestFirstScreen(t *testing.T) {
	a := agenttest.Start(t, agenttest.Options{})
	a.WaitForOutput("exports to")
	require.Contains(t, a.Output(), a.StateDir+"/storage")
	a.Stop()
}

func TestExportToItselfIsRefused(t *testing.T) {
	run := exec.Command(agenttest.Binary(t))
	run.Env = append(run.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318", "FOUNDATION_STATE_DIR="+t.TempDir())
	out, err := run.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "exporters::otlp_http::endpoint")
}

// A second agent on the same state waits, says so, and takes over when the first is gone, however it went.
func TestSecondAgentWaits(t *testing.T) {
	first := agenttest.Start(t, agenttest.Options{})
	started := make(chan *agenttest.Agent, 1)
	go func() { started <- agenttest.Start(t, agenttest.Options{StateDir: first.StateDir}) }()
	select {
	case <-started:
		t.Fatal("two agents write one state directory")
	case <-time.After(2 * time.Second): // nothing is to happen: there is no event to wait for
	}
	first.Kill()
	second := <-started
	require.Contains(t, second.Output(), "Waiting: the state directory")
	second.Stop()
}

func TestDefaultConfigWithSet(t *testing.T) {
	out, err := exec.Command(agenttest.Binary(t), "print-config", "--set", "exporters.debug.sampling_initial=7").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "sampling_initial: 7")
	require.Contains(t, string(out), "127.0.0.1:4317")
}
