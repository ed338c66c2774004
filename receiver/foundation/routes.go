package foundation

import (
	_ "embed"
	"net/http"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

// openAPI describes every route of this receiver's own. TestOpenAPI holds the handlers against it.
//
//go:embed openapi.yaml
var openAPI []byte

// routes adds this receiver's own calls.
func (r *foundationReceiver) routes(mux *http.ServeMux) {
	mux.Handle("POST /v1/events", r.withBody("events", r.serveEvents))
	for name, c := range r.calls {
		mux.Handle("POST "+c.path, r.withBody(name, serveCall(c)))
	}
	r.spanRoutes(mux)
	mux.HandleFunc("GET /v1/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(openAPI) // the caller has gone: nobody to tell
	})
}

// jsonNotFound gives the mux's own answers (404, 405) the JSON body that all others have.
func jsonNotFound(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		answer := headerOnly{header: w.Header()}
		mux.ServeHTTP(&answer, r)
		e := door.Error{Code: "not_found", Message: "no such path; GET /v1/openapi.yaml lists what there is"}
		if answer.status == http.StatusMethodNotAllowed {
			e = door.Error{Code: "method_not_allowed", Message: "allowed here: " + w.Header().Get("Allow")}
		}
		door.WriteError(w, answer.status, e)
	})
}

// headerOnly keeps the status and headers of an answer and drops its body.
type headerOnly struct {
	header http.Header
	status int
}

func (h *headerOnly) Header() http.Header         { return h.header }
func (h *headerOnly) WriteHeader(status int)      { h.status = status }
func (h *headerOnly) Write(p []byte) (int, error) { return len(p), nil }
