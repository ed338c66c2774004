package foundation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

// bodyHandler serves a request whose body has been read. It must not keep body.
type bodyHandler func(req *http.Request, s *sender, body []byte) answer

// withBody reads a request's body whole before it is served, so that a broken one is refused before
// anything of it is taken. name is what the request counts as.
func (r *foundationReceiver) withBody(name string, serve bodyHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		a := r.serveBody(w, req, serve)
		r.telemetry.answered(req.Context(), name, a)
		a.write(w)
	})
}

func (r *foundationReceiver) serveBody(w http.ResponseWriter, req *http.Request, serve bodyHandler) answer {
	if media := req.Header.Get("Content-Type"); !door.IsJSON(media) {
		return errorAnswer(http.StatusUnsupportedMediaType, "unsupported_media_type",
			fmt.Sprintf("Content-Type %s is not taken; send application/json, or application/x-ndjson for one object a line", quote(media)))
	}
	weight := r.weight(req)
	if !r.inFlight.TryAcquire(weight) {
		return answerTo(&refusal{status: http.StatusServiceUnavailable, after: retryAfter, code: "too_many_requests",
			message: "too much is being received at once (max_in_flight_bytes); send it again after the time in Retry-After"})
	}
	defer r.inFlight.Release(weight)

	body := bodies.Get().(*bytes.Buffer)
	defer recycle(body)
	if err := readBody(w, req, body, r.cfg.BodyTimeout); err != nil {
		return bodyError(err)
	}
	if len(bytes.TrimSpace(body.Bytes())) == 0 {
		return errorAnswer(http.StatusBadRequest, "empty_body", "the body is empty; send a JSON object")
	}
	s := &sender{caller: door.CallerOf(req), registry: r.registry}
	ctx, cancel := context.WithTimeout(door.WithCaller(req.Context(), s.caller), r.cfg.ConsumeTimeout)
	defer cancel()
	return serve(req.WithContext(ctx), s, body.Bytes())
}

// weight is what a request counts for while it is served: its body, or the most that it may be where
// that is not known yet.
func (r *foundationReceiver) weight(req *http.Request) int64 {
	const least = 4 << 10
	if req.ContentLength < 0 {
		return r.maxBody
	}
	return min(max(req.ContentLength, least), r.maxBody)
}

// readBody reads the whole body within timeout. Then no deadline is left: the pipeline may take its time.
func readBody(w http.ResponseWriter, req *http.Request, body *bytes.Buffer, timeout time.Duration) error {
	conn := http.NewResponseController(w)
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if req.ContentLength > 0 {
		body.Grow(int(min(req.ContentLength, 1<<20)) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(req.Body); err != nil {
		return err
	}
	return conn.SetReadDeadline(time.Time{})
}

// bodyError is the answer to a body that could not be read. Nothing of it was taken.
func bodyError(err error) answer {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return errorAnswer(http.StatusRequestEntityTooLarge, "body_too_large",
			fmt.Sprintf("the body is larger than %d bytes (also when it is compressed: its size decompressed counts); send it in parts", tooLarge.Limit))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errorAnswer(http.StatusRequestTimeout, "body_too_slow", "the body did not arrive within body_timeout; nothing was taken, send it again")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errorAnswer(http.StatusBadRequest, "body_incomplete", "the body ended early; nothing was taken, send it again")
	}
	return errorAnswer(http.StatusBadRequest, "body_unreadable", "the body could not be read: "+err.Error()+"; nothing was taken")
}

// bodies are buffers for request bodies. Large ones are left to the collector of garbage.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func recycle(b *bytes.Buffer) {
	const largest = 1 << 20
	if b.Cap() <= largest {
		b.Reset()
		bodies.Put(b)
	}
}
