package foundation

import (
	_ "embed"
	"net/http"
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
