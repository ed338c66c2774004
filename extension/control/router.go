// This file routes: the patterns of control and of the extensions it serves, on one mux, with JSON
// for what matches none of them.

package control

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

type router struct {
	mux   *http.ServeMux
	audit *audit
}

func newRouter(a *audit) *router {
	return &router{mux: http.NewServeMux(), audit: a}
}

// add routes on behalf of owner. A pattern that is malformed or taken is an error that names its owner.
func (r *router) add(owner string, routes []operator.Route) error {
	for _, route := range routes {
		if err := r.addOne(route); err != nil {
			return fmt.Errorf("serve: route %q of %s: %w", route.Pattern, owner, err)
		}
	}
	return nil
}

func (r *router) addOne(route operator.Route) (err error) {
	method, _, ok := strings.Cut(route.Pattern, " ")
	if !ok {
		return fmt.Errorf("has no method")
	}
	handler := http.Handler(route.Handler)
	if method != http.MethodGet {
		handler = r.audit.wrap(route.Pattern, handler)
	}
	// ServeMux tells of a bad or conflicting pattern by panic alone.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	r.mux.Handle(route.Pattern, handler)
	return nil
}

func (r *router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if handler, pattern := r.mux.Handler(req); pattern == "" {
		refuse(w, req, handler)
		return
	}
	r.mux.ServeHTTP(w, req.WithContext(operator.WithCaller(req.Context(), operator.CallerOf(req))))
}

// refuse answers in JSON what the mux's own handler would answer in text: 404, or 405 with Allow.
func refuse(w http.ResponseWriter, req *http.Request, muxAnswer http.Handler) {
	answer := &headOnly{header: w.Header(), status: http.StatusNotFound}
	muxAnswer.ServeHTTP(answer, req)
	e := door.Error{Code: "not_found", Message: "no such call: its extension may be missing under serve"}
	if answer.status == http.StatusMethodNotAllowed {
		e = door.Error{Code: "method_not_allowed", Message: "allowed: " + w.Header().Get("Allow")}
	}
	door.WriteError(w, answer.status, e)
}

// headOnly is a ResponseWriter that keeps the status and header, and drops the body.
type headOnly struct {
	header http.Header
	status int
}

func (h *headOnly) Header() http.Header         { return h.header }
func (h *headOnly) WriteHeader(status int)      { h.status = status }
func (h *headOnly) Write(p []byte) (int, error) { return len(p), nil }
