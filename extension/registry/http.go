// This file is the registry's routes, and what all of them have in common: counting, timing, refusing.

package registry

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

const (
	paramShadow         = "shadow" // operators may read while reads are off
	operatorParamAuthor = operator.ParamAuthor
	operatorParamReason = operator.ParamReason
)

// api serves the registry over HTTP, to applications and to operators.
type api struct {
	*registry
	durations metric.Float64Histogram
	timed     [opCountOf]metric.MeasurementOption
}

func newAPI(r *registry, durations metric.Float64Histogram) *api {
	a := &api{registry: r, durations: durations}
	for op, name := range operationNames {
		a.timed[op] = metric.WithAttributeSet(attribute.NewSet(attribute.String("operation", name)))
	}
	return a
}

// answer is what a handler returns: a status and a JSON body, nil for none.
type answer struct {
	status int
	body   any
}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

// handler does one operation for a caller.
type handler func(c caller, w http.ResponseWriter, r *http.Request) (answer, error)

// route is one path of the API and the operation that it does.
type route struct {
	pattern string
	op      operation
	handler handler
}

// routes are the same for applications and operators; who calls makes the difference.
func (a *api) routes() []route {
	return []route{
		{"PUT /v1/agents/{id}", opRegister, a.serveRegister},
		{"GET /v1/agents/{id}", opGet, a.read(a.serveGet)},
		{"GET /v1/agents", opList, a.read(a.serveList)},
		{"GET /v1/agents/count", opCount, a.read(a.serveCount)},
		{"POST /v1/agents/query", opQuery, a.read(a.serveQuery)},
		{"PATCH /v1/agents/{id}", opUpdate, a.serveUpdate},
		{"POST /v1/agents/{id}/heartbeat", opHeartbeat, a.serveHeartbeat},
		{"DELETE /v1/agents/{id}", opUnregister, a.serveUnregister},
		{"POST /v1/agents/{id}/down", opProcessDown, a.serveProcessDown},
		{"GET /v1/agents/downs", opList, a.read(a.serveDowns)},
		{"GET /v1/agents/info", opInfo, a.serveInfo},
	}
}

// MountApplication implements door.Handlers.
func (a *api) MountApplication(mux *http.ServeMux) {
	for _, rt := range a.routes() {
		mux.HandleFunc(rt.pattern, a.serve(rt, application))
	}
	mux.HandleFunc("GET /v1/agents/watch", a.serveWatch(application))
	mux.HandleFunc("GET /v1/agents/openapi.yaml", serveOpenAPI)
}

// OperatorRoutes implements operator.Routes.
func (a *api) OperatorRoutes() []operator.Route {
	var routes []operator.Route
	for _, rt := range append(a.routes(), route{"POST /v1/agents/ensure", opEnsure, a.serveEnsure}) {
		routes = append(routes, operator.Route{Pattern: rt.pattern, Handler: a.serve(rt, operatorOf)})
	}
	return append(routes, operator.Route{Pattern: "GET /v1/agents/watch", Handler: a.serveWatch(operatorOf)})
}

// serve runs a route's handler, answers, counts and times.
func (a *api) serve(rt route, callerOf func(*http.Request) caller) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		answer, err := rt.handler(callerOf(r), w, r)
		outcome := outcomeOK
		switch {
		case err != nil:
			outcome = a.fail(w, err)
		case answer.body == nil:
			w.WriteHeader(answer.status)
		default:
			door.WriteJSON(w, answer.status, answer.body)
		}
		a.count(r.Context(), rt.op, outcome, time.Since(start))
	}
}

func (a *api) count(ctx context.Context, op operation, o outcome, took time.Duration) {
	a.tally.operations[op][o].Add(1)
	a.durations.Record(ctx, took.Seconds(), a.timed[op])
}

// fail answers an error and returns its outcome.
func (a *api) fail(w http.ResponseWriter, err error) outcome {
	var no *refusal
	switch {
	case !errors.As(err, &no):
		a.logger.Error("An operation failed", zap.Error(err))
		door.WriteError(w, http.StatusInternalServerError, door.Error{Code: "internal", Message: err.Error()})
		return outcomeFailed
	case no.status == http.StatusTooManyRequests:
		door.WriteRetry(w, no.status, time.Second, no.tell)
	default:
		door.WriteError(w, no.status, no.tell)
	}
	return no.outcome
}

// read lets a handler read only while reads are on. An operator may look at what is recorded in shadow.
func (a *api) read(next handler) handler {
	return func(c caller, w http.ResponseWriter, r *http.Request) (answer, error) {
		if !a.flag.Enabled() && !mayReadShadow(c, r) {
			a.tally.shadowReads.Add(1)
			return answer{}, disabled(a.flag.Name())
		}
		return next(c, w, r)
	}
}

// mayReadShadow reports whether an operator asks for what is recorded while reads are off.
func mayReadShadow(c caller, r *http.Request) bool {
	return c.operator && r.URL.Query().Get(paramShadow) == "true"
}
