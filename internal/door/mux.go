package door

import "net/http"

// JSONErrors serves mux, whose own answers (404, 405) get the JSON body that all others have. hint says
// where to look for what there is.
func JSONErrors(mux *http.ServeMux, hint string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		answer := headOnly{header: w.Header()}
		mux.ServeHTTP(&answer, r)
		e := Error{Code: "not_found", Message: "no such path; " + hint}
		if answer.status == http.StatusMethodNotAllowed {
			e = Error{Code: "method_not_allowed", Message: "allowed here: " + w.Header().Get("Allow")}
		}
		WriteError(w, answer.status, e)
	})
}

// headOnly keeps the status and headers of an answer and drops its body.
type headOnly struct {
	header http.Header
	status int
}

func (h *headOnly) Header() http.Header         { return h.header }
func (h *headOnly) WriteHeader(status int)      { h.status = status }
func (h *headOnly) Write(p []byte) (int, error) { return len(p), nil }
