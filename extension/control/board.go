// This file gathers what the status page shows. It reads the operators' own API, in process: the page
// and the commands cannot differ.

package control

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/page"
)

// board makes the status page.
type board struct {
	api     http.Handler
	status  func() operator.Status
	tables  func() []operator.TableView
	samples func() []operator.Sample
	audit   func(after uint64) []Mutation
}

// part makes one section of the page; absent is true where no extension serves what it needs.
type part func(ctx context.Context, b *board) (s page.Section, absent bool, err error)

// document makes the whole page.
func (b *board) document(ctx context.Context) (page.Document, error) {
	status := b.status()
	doc := page.Document{Title: "foundation-agent", Subtitle: status.Command + " " + status.Version, Made: time.Now().UTC()}
	for _, make := range []part{overviewPart, stagesPart, criteriaPart, flagsPart, flowsPart, agentsPart, spansPart, tablesPart, historyPart, auditPart} {
		section, absent, err := make(ctx, b)
		if err != nil {
			return page.Document{}, err
		}
		if !absent {
			doc.Sections = append(doc.Sections, section)
		}
	}
	return doc, nil
}

// read fetches path from the API into v. It reports whether the API answered with it.
func (b *board) read(ctx context.Context, path string, v any) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody)
	if err != nil {
		return false
	}
	answer := &memoryWriter{header: http.Header{}, status: http.StatusOK}
	b.api.ServeHTTP(answer, req)
	return answer.status == http.StatusOK && json.Unmarshal(answer.body, v) == nil
}

// memoryWriter keeps an answer.
type memoryWriter struct {
	header http.Header
	status int
	body   []byte
}

func (w *memoryWriter) Header() http.Header    { return w.header }
func (w *memoryWriter) WriteHeader(status int) { w.status = status }

func (w *memoryWriter) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}
