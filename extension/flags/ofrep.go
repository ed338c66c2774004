// This file serves OFREP, the OpenFeature Remote Evaluation Protocol 0.3
// (https://github.com/open-feature/protocol): how applications evaluate flags.

package flags

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

const (
	ofrepFlags  = "/ofrep/v1/evaluate/flags"
	ofrepEvents = "/ofrep/v1/events"
)

// ofrep evaluates flags for applications.
type ofrep struct {
	cfg     *OFREPConfig
	state   *atomic.Pointer[state]
	streams *streams
	server  *http.Server // of the endpoint of its own, if any
	addr    net.Addr     // where that listens

	outcomes [3]atomic.Int64 // evaluations, by outcome
}

// Outcomes of evaluations.
const (
	outcomeValue = iota
	outcomeCodeDefault
	outcomeError
)

var outcomeNames = [...]string{"value", "code_default", "error"}

func newOFREP(cfg *OFREPConfig, state *atomic.Pointer[state], stop <-chan struct{}) *ofrep {
	return &ofrep{cfg: cfg, state: state, streams: newStreams(cfg.MaxStreams, state, stop)}
}

// MountApplication adds the OFREP routes to the applications' door.
func (e *flagsExtension) MountApplication(mux *http.ServeMux) { e.ofrep.mount(mux) }

func (o *ofrep) mount(mux *http.ServeMux) {
	// A key may hold slashes: clients put it into the path as it is.
	mux.HandleFunc("POST "+ofrepFlags+"/{key...}", guard(o.serveFlag))
	mux.HandleFunc("POST "+ofrepFlags, guard(o.serveFlags))
	if o.cfg.MaxStreams > 0 {
		mux.HandleFunc("GET "+ofrepEvents, o.streams.serve)
	}
}

// listen opens the endpoint of its own, where one is configured.
func (o *ofrep) listen(ctx context.Context, h component.Host, set component.TelemetrySettings, spawn func(func())) error {
	c := o.cfg.HTTP.Get()
	if c == nil {
		return nil
	}
	if c.MaxRequestBodySize == 0 {
		c.MaxRequestBodySize = o.cfg.MaxBodyBytes
	}
	mux := http.NewServeMux()
	o.mount(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeFailure(w, http.StatusNotFound, "", flagd.Failed(flagd.CodeGeneral, fmt.Errorf("no such call: %s %s", r.Method, r.URL.Path)), nil)
	})
	var origins []string
	if cors := c.CORS.Get(); cors != nil {
		origins = cors.AllowedOrigins
	}
	handler, err := door.KeepBrowsersOut(mux, c.NetAddr.Endpoint, origins)
	if err != nil {
		return fmt.Errorf("ofrep::http: %w", err)
	}
	o.server, err = c.ToServer(ctx, h.GetExtensions(), set, handler, confighttp.WithErrorHandler(
		func(w http.ResponseWriter, r *http.Request, message string, status int) {
			writeFailure(w, status, r.PathValue("key"), flagd.Failed(flagd.CodeGeneral, errors.New(message)), nil)
		}))
	if err != nil {
		return fmt.Errorf("ofrep::http: %w", err)
	}
	listener, err := c.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("ofrep::http: %w", err)
	}
	o.addr = listener.Addr()
	spawn(func() { o.run(listener, h) })
	return nil
}

func (o *ofrep) run(listener net.Listener, h component.Host) {
	if err := o.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		componentstatus.ReportStatus(h, componentstatus.NewFatalErrorEvent(fmt.Errorf("ofrep::http: %w", err)))
	}
}

func (o *ofrep) shutdown(ctx context.Context) error {
	if o.server == nil {
		return nil
	}
	return o.server.Shutdown(ctx)
}

// visible says whether applications see the flag of that key.
func (o *ofrep) visible(key string) bool {
	for _, glob := range o.cfg.Allow {
		if ok, _ := path.Match(glob, key); ok {
			return true
		}
	}
	return len(o.cfg.Allow) == 0
}

// serveFlag evaluates one flag.
func (o *ofrep) serveFlag(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	s := o.state.Load()
	f, ok := s.definitions.Flag(key)
	if !ok || !o.visible(key) {
		o.outcomes[outcomeError].Add(1)
		writeFailure(w, http.StatusNotFound, key, flagd.Failed(flagd.CodeFlagNotFound, fmt.Errorf("flag %q is not defined", key)), s.definitions.Metadata)
		return
	}
	c, failed := o.readContext(w, r)
	if failed != nil {
		o.outcomes[outcomeError].Add(1)
		writeFailure(w, http.StatusBadRequest, key, *failed, f.Metadata)
		return
	}
	result := s.evaluate(f, c, now())
	o.outcomes[outcomeOf(result)].Add(1)
	if result.Error != nil {
		writeFailure(w, http.StatusBadRequest, key, result, f.Metadata)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(appendResolution(nil, f, result)) // the caller has gone: nobody to tell
}

// serveFlags evaluates all flags.
func (o *ofrep) serveFlags(w http.ResponseWriter, r *http.Request) {
	c, failed := o.readContext(w, r)
	if failed != nil {
		writeFailure(w, http.StatusBadRequest, "", *failed, nil)
		return
	}
	body, err := o.evaluateAll(r.Context(), c)
	if err != nil {
		return // the caller has gone
	}
	tag := entityTag(body)
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	if matches(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the caller has gone: nobody to tell
}

// evaluateAll is the body of a bulk evaluation. Flags that do not depend on the context were encoded once.
func (o *ofrep) evaluateAll(ctx context.Context, c *flagd.Context) ([]byte, error) {
	s := o.state.Load()
	static := s.staticEntries()
	at := now()
	var outcomes [3]int64
	body := make([]byte, 0, s.encodedSize)
	body = append(body, `{"flags":[`...)
	for i, f := range s.definitions.Flags {
		if !o.visible(f.Key) {
			continue
		}
		if body[len(body)-1] != '[' {
			body = append(body, ',')
		}
		if static[i].json != nil {
			body = append(body, static[i].json...)
			outcomes[static[i].outcome]++
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		result := s.evaluate(f, c, at)
		outcomes[outcomeOf(result)]++
		body = appendResolution(body, f, result)
	}
	body = append(body, `],"metadata":`...)
	body = appendJSON(body, s.definitions.Metadata)
	if o.cfg.MaxStreams > 0 {
		body = append(body, `,"eventStreams":[{"type":"sse","endpoint":{"requestUri":"`+ofrepEvents+`"},"inactivityDelaySec":120}]`...)
	}
	for i, n := range outcomes {
		o.outcomes[i].Add(n)
	}
	return append(body, '}'), nil
}

// readContext reads the context of a request; an absent body or context is an empty one.
func (o *ofrep) readContext(w http.ResponseWriter, r *http.Request) (*flagd.Context, *flagd.Resolution) {
	written, err := io.ReadAll(http.MaxBytesReader(w, r.Body, o.cfg.MaxBodyBytes))
	if err != nil {
		failed := flagd.Failed(flagd.CodeInvalidContext, fmt.Errorf("request body: %w", err))
		return nil, &failed
	}
	var body struct {
		Context json.RawMessage `json:"context"`
	}
	if len(written) > 0 {
		if err := json.Unmarshal(written, &body); err != nil {
			failed := flagd.Failed(flagd.CodeParseError, fmt.Errorf("request body: %w", err))
			return nil, &failed
		}
	}
	c, err := flagd.NewContext(body.Context)
	if err != nil {
		failed := flagd.Failed(flagd.CodeInvalidContext, err)
		return nil, &failed
	}
	return c, nil
}

func outcomeOf(r flagd.Resolution) int {
	switch {
	case r.Error != nil:
		return outcomeError
	case r.Variant == nil:
		return outcomeCodeDefault
	}
	return outcomeValue
}
