package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap/zapcore"
)

// starter does, when the agent is run, what needs the resolved configuration: before anything starts it refuses an
// export to itself, tables beyond the memory limit and repeats that nobody would count, and takes the state
// directories; once all runs it shows the first screen. It is a converter that converts nothing (converters are where
// the collector shows what it has resolved) and a hook of the collector's log (where it says that it is ready).
type starter struct {
	enabled bool
	out     io.Writer
	once    sync.Once // a reload resolves again
	err     error
	held    []io.Closer // locks of state directories: held until the process ends
	welcome string      // to be shown when the agent is ready
}

func (s *starter) factory() confmap.ConverterFactory {
	return confmap.NewConverterFactory(func(confmap.ConverterSettings) confmap.Converter { return s })
}

// Convert implements confmap.Converter.
func (s *starter) Convert(ctx context.Context, conf *confmap.Conf) error {
	if !s.enabled {
		return nil
	}
	s.once.Do(func() { s.err = s.start(ctx, conf) })
	return s.err
}

func (s *starter) start(ctx context.Context, conf *confmap.Conf) error {
	if err := errors.Join(refuseLoop(conf), refuseOverCommit(conf), refuseLostRepeats(conf)); err != nil {
		return err
	}
	for _, dir := range stateDirs(conf) {
		lock, err := lockStateDir(ctx, dir, s.out)
		if err != nil {
			return err
		}
		s.held = append(s.held, lock)
		if err := setAsideDamaged(dir, s.out); err != nil {
			return err
		}
	}
	var screen strings.Builder
	if err := writeWelcome(&screen, conf); err != nil {
		return err
	}
	s.welcome = screen.String()
	return nil
}

// readyMessage begins what the collector logs when its pipelines run. A screen before that would promise
// too much, and scroll away.
const readyMessage = "Everything is ready."

// hook implements zap.Hooks.
func (s *starter) hook(e zapcore.Entry) error {
	if s.welcome == "" || !strings.HasPrefix(e.Message, readyMessage) {
		return nil
	}
	_, err := io.WriteString(s.out, s.welcome)
	s.welcome = ""
	return err
}

// refuseLoop refuses an OTLP exporter that points at this agent's own OTLP receiver: what an application's
// OTEL_EXPORTER_OTLP_ENDPOINT does when the agent is started in the application's environment.
func refuseLoop(conf *confmap.Conf) error {
	own := map[string]bool{}
	for _, key := range conf.AllKeys() {
		if strings.HasPrefix(key, "receivers::otlp") && strings.HasSuffix(key, "::endpoint") {
			own[hostPort(conf.Get(key))] = true
		}
	}
	for _, key := range conf.AllKeys() {
		if strings.HasPrefix(key, "exporters::otlp") && strings.HasSuffix(key, "::endpoint") && own[hostPort(conf.Get(key))] {
			return fmt.Errorf("%s is %v, this agent's own OTLP receiver: everything would go round for ever; "+
				"unset OTEL_EXPORTER_OTLP_ENDPOINT or set it to where telemetry should go", key, conf.Get(key))
		}
	}
	return nil
}

// hostPort is an endpoint without scheme and path, loopback by its one name.
func hostPort(endpoint any) string {
	text := fmt.Sprint(endpoint)
	if _, rest, ok := strings.Cut(text, "://"); ok {
		text = rest
	}
	text, _, _ = strings.Cut(text, "/")
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return text
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
