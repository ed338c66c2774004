package registry

import (
	_ "embed"
	"net/http"
)

// openAPI describes the applications' API; TestOpenAPI holds the handlers against it.
//
//go:embed openapi.yaml
var openAPI []byte

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openAPI) // the caller has gone: nobody to tell
}
