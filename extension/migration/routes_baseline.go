// This file is the operators' API of baselines: /v1/baseline.

package migration

import (
	"errors"
	"net/http"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/baseline"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func (m *migration) baselineRoutes() []operator.Route {
	return []operator.Route{
		{Pattern: "POST /v1/baseline", Handler: m.serveCollect},
		{Pattern: "POST /v1/baseline/stop", Handler: answer(func(*http.Request) (any, error) {
			stopped, err := m.book.Stop(time.Now())
			return stopped, baselineRefusal(err)
		})},
		{Pattern: "GET /v1/baseline", Handler: answer(func(*http.Request) (any, error) {
			return map[string]any{"baselines": m.book.List()}, nil
		})},
		{Pattern: "GET /v1/baseline/compare", Handler: answer(m.compareOf)},
		{Pattern: "GET /v1/baseline/{name}", Handler: answer(func(r *http.Request) (any, error) {
			b, err := m.book.Show(r.PathValue("name"))
			return b, baselineRefusal(err)
		})},
		{Pattern: "DELETE /v1/baseline/{name}", Handler: answer(func(r *http.Request) (any, error) {
			return map[string]any{"baselines": m.book.List()}, baselineRefusal(m.book.Delete(r.PathValue("name")))
		})},
	}
}

func (m *migration) serveCollect(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name    string  `json:"name"`    // by the time of its begin where empty
		Seconds float64 `json:"seconds"` // to be observed
	}
	if !readBody(w, r, &body) {
		return
	}
	now := time.Now()
	if body.Name == "" {
		body.Name = now.UTC().Format("20060102-150405")
	}
	by := operator.CallerOf(r).Author()
	begun, err := m.book.Begin(body.Name, time.Duration(body.Seconds*float64(time.Second)), by.Name, m.rollout.snapshot().Stage, now)
	if err != nil {
		writeRefusal(w, baselineRefusal(err))
		return
	}
	m.rollout.record(operator.MigrationEntry{Kind: kindBaseline, Author: by.Name, Reason: by.Reason, Message: "begun: " + begun.Name, Persisted: true})
	door.WriteJSON(w, http.StatusAccepted, begun)
}

// compareOf holds b against a: names of baselines; a is the one the guard compares with where absent, b is now.
func (m *migration) compareOf(r *http.Request) (any, error) {
	base, other := r.URL.Query().Get("a"), r.URL.Query().Get("b")
	if base == "" {
		base = m.book.ReferenceName()
	}
	if other == "" {
		other = baseline.Now
	}
	c, err := m.book.Compare(r.Context(), base, other)
	return c, baselineRefusal(err)
}

// baselineDone puts the end of a collection into the history.
func (m *migration) baselineDone(b operator.Baseline) {
	m.rollout.record(operator.MigrationEntry{Kind: kindBaseline, Author: itself, Message: b.State + ": " + b.Name, Reason: b.Message, Persisted: true})
}

func baselineRefusal(err error) error {
	switch {
	case errors.Is(err, baseline.ErrUnknown):
		return refuse(http.StatusNotFound, "unknown_baseline", err.Error())
	case errors.Is(err, baseline.ErrBusy):
		return refuse(http.StatusConflict, "busy", err.Error())
	case errors.Is(err, baseline.ErrRefused):
		return refuse(http.StatusBadRequest, "refused", err.Error())
	}
	return err
}
