// This file serves the status page: read-only, live, and asking nothing of any other origin.

package control

import (
	"context"
	_ "embed"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/page"
)

const (
	// pageInterval is how often a live page is looked at anew.
	pageInterval = time.Second
	// maxWatchers bounds how many live pages are open at once.
	maxWatchers = 32
)

//go:embed page.js
var pageScript string

// pagePolicy lets the page use its own style, script and stream, and pictures that it holds as data.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// statusPage serves the page, its style and script, and the stream of its sections.
type statusPage struct {
	board    *board
	logger   *zap.Logger
	watchers atomic.Int64

	mu     sync.Mutex // held while the page is made: all watchers share it
	made   page.Document
	madeAt time.Time
}

func newStatusPage(b *board, logger *zap.Logger) http.Handler {
	p := &statusPage{board: b, logger: logger}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.servePage)
	mux.HandleFunc("GET /live", p.serveLive)
	mux.HandleFunc("GET /style.css", serveText("text/css; charset=utf-8", page.Style()))
	mux.HandleFunc("GET /page.js", serveText("text/javascript; charset=utf-8", pageScript))
	return withPageHeaders(mux)
}

func withPageHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func serveText(contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write([]byte(text)) // the caller has gone: nobody to tell
	}
}

// document returns the page as it is now, at most pageInterval old.
func (p *statusPage) document(ctx context.Context) (page.Document, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.madeAt) < pageInterval {
		return p.made, nil
	}
	document, err := p.board.document(ctx)
	if err != nil {
		return page.Document{}, err
	}
	p.made, p.madeAt = document, time.Now()
	return document, nil
}

func (p *statusPage) servePage(w http.ResponseWriter, r *http.Request) {
	document, err := p.document(r.Context())
	if err != nil {
		p.logger.Error("The status page could not be made", zap.Error(err))
		http.Error(w, "The page could not be made: see the agent's log.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = document.WriteLive(w) // the caller has gone: nobody to tell
}

// sectionEvent is a section that has changed.
type sectionEvent struct {
	ID   string `json:"id"`
	HTML string `json:"html"`
}

// serveLive sends each section that has changed, and a beat where none has.
func (p *statusPage) serveLive(w http.ResponseWriter, r *http.Request) {
	if p.watchers.Add(1) > maxWatchers {
		p.watchers.Add(-1)
		door.WriteRetry(w, http.StatusServiceUnavailable, 10*time.Second, door.Error{Code: "too_many_watchers", Message: "too many live pages are open"})
		return
	}
	defer p.watchers.Add(-1)
	out := newEventStream(w)
	sent := map[string]string{}
	ticker := time.NewTicker(pageInterval)
	defer ticker.Stop()
	for {
		if err := p.sendChanges(r.Context(), out, sent); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-door.Draining(r.Context()):
			return
		case <-ticker.C:
		}
	}
}

func (p *statusPage) sendChanges(ctx context.Context, out *eventStream, sent map[string]string) error {
	document, err := p.document(ctx)
	if err != nil {
		return err
	}
	for _, section := range document.Sections {
		html, err := section.HTML()
		if err != nil {
			return err
		}
		if html == sent[section.ID] {
			continue
		}
		if err := out.send("section", sectionEvent{ID: section.ID, HTML: html}); err != nil {
			return err
		}
		sent[section.ID] = html
	}
	return out.send("beat", document.Made.Format("2006-01-02 15:04:05 UTC"))
}
