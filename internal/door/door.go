// Package door is what the applications' door (the foundation receiver) shares with the extensions
// that mount their handlers on it: who is calling, and what an error looks like.
package door

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/unixsocket"
)

// Handlers is an extension with handlers for applications. The foundation receiver mounts those of
// the extensions that its configuration names; an extension may also serve them on an endpoint of its own.
type Handlers interface {
	// MountApplication adds the extension's routes. Patterns carry their method ("GET /v1/agents/{id}").
	// A handler that streams ends when Draining tells, and lifts the write deadline by http.ResponseController.
	MountApplication(mux *http.ServeMux)
}

// Caller is who sent a request.
type Caller struct {
	// Peer is the process at the other end of a unix socket, as the kernel tells it.
	Peer unixsocket.Peer
	// Local says that Peer is known: the request came over a unix socket.
	Local bool
	// Token is the agent token that the caller sent (TokenHeader), "" where none.
	Token string
}

// TokenHeader carries the token that a registration was answered with. It proves an agent id to
// callers over TCP, where there are no peer credentials.
const TokenHeader = "Foundation-Agent-Token"

// CallerOf returns who sent r.
func CallerOf(r *http.Request) Caller {
	peer, local := unixsocket.PeerOf(r.Context())
	return Caller{Peer: peer, Local: local, Token: r.Header.Get(TokenHeader)}
}

type callerKey struct{}

// WithCaller keeps c in the context of calls made on the caller's behalf.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerIn returns the caller that WithCaller kept, and whether there was one.
func CallerIn(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// Error is the JSON body of every refusal: a stable code for programs, and a sentence that says what to do.
type Error struct {
	Code    string `json:"code"`              // stable, snake_case: "body_too_large"
	Message string `json:"message"`           // what was wrong and what to do about it
	Details any    `json:"details,omitempty"` // what the code calls for, where more is known
}

// WriteError answers with status and e as application/json.
func WriteError(w http.ResponseWriter, status int, e Error) {
	WriteJSON(w, status, map[string]Error{"error": e})
}

// WriteRetry answers 429 or 503 with Retry-After.
func WriteRetry(w http.ResponseWriter, status int, after time.Duration, e Error) {
	SetRetryAfter(w.Header(), after)
	WriteError(w, status, e)
}

// SetRetryAfter sets Retry-After in whole seconds, rounded up: never too early, one at least.
func SetRetryAfter(h http.Header, after time.Duration) {
	h.Set("Retry-After", strconv.Itoa(max(1, int((after+time.Second-1)/time.Second))))
}

// WriteJSON answers with status and body as application/json.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller has gone: nobody to tell
}

// IsJSON reports whether a request's content type is JSON or NDJSON (or absent, as curl users expect of sockets).
func IsJSON(contentType string) bool {
	media := mediaType(contentType)
	return media == "" || media == "application/json" || IsNDJSON(contentType)
}

// IsNDJSON reports whether a request's content type is newline-delimited JSON.
func IsNDJSON(contentType string) bool {
	switch mediaType(contentType) {
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		return true
	}
	return false
}

func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}
