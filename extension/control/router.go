// This file routes: the patterns of control and of the extensions it serves, on one mux, with JSON
// for what matches none of them.

package control

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

type router struct {
	mux     *http.ServeMux
	handler http.Handler // mux, with errors in JSON
	audit   *audit
}

func newRouter(a *audit) *router {
	mux := http.NewServeMux()
	return &router{mux: mux, handler: door.JSONErrors(mux, "its extension may be missing under serve"), audit: a}
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
		return errors.New("has no method")
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
	r.handler.ServeHTTP(w, req.WithContext(operator.WithCaller(req.Context(), operator.CallerOf(req))))
}
