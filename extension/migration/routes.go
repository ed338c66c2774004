// This file is the operators' API of the migration: /v1/migration.

package migration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// maxBody bounds what a request may carry, in bytes.
const maxBody = 64 << 10

// OperatorRoutes implements operator.Routes.
func (m *migration) OperatorRoutes() []operator.Route {
	return slices.Concat([]operator.Route{
		{Pattern: "GET /v1/migration", Handler: answer(func(*http.Request) (any, error) { return m.status(), nil })},
		{Pattern: "GET /v1/migration/preflight", Handler: answer(func(r *http.Request) (any, error) { return m.preflight(r.Context()), nil })},
		{Pattern: "POST /v1/migration/attest", Handler: m.serveAttest},
		{Pattern: "POST /v1/migration/advance", Handler: m.serveAdvance},
		{Pattern: "POST /v1/migration/rollback", Handler: m.serveRollback},
		{Pattern: "POST /v1/migration/emergency-rollback", Handler: m.serveEmergency},
		{Pattern: "GET /v1/migration/history", Handler: answer(m.historyOf)},
		{Pattern: "GET /v1/migration/preview", Handler: answer(m.previewOf)},
		{Pattern: "POST /v1/migration/rehearse", Handler: m.serveRehearse},
		{Pattern: "POST /v1/migration/verify", Handler: answer(func(r *http.Request) (any, error) { return m.verify(r.Context()) })},
		{Pattern: "GET /v1/migration/violations", Handler: answer(func(*http.Request) (any, error) { return m.violations(), nil })},
		{Pattern: "GET /v1/migration/finalize", Handler: answer(func(*http.Request) (any, error) { return m.finalize(), nil })},
		{Pattern: "GET /v1/migration/report", Handler: answer(m.reportOf)},
	}, m.baselineRoutes())
}

// answer makes a handler of what returns an answer or a refusal.
func answer(ask func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := ask(r)
		if err != nil {
			writeRefusal(w, err)
			return
		}
		door.WriteJSON(w, http.StatusOK, body)
	}
}

func (m *migration) historyOf(r *http.Request) (any, error) {
	from, to, err := timesOf(r, time.Time{})
	if err != nil {
		return nil, err
	}
	entries := m.rollout.entries(from, to)
	if text := r.URL.Query().Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 {
			return nil, refuse(http.StatusBadRequest, "invalid_parameter", fmt.Sprintf("limit is %q: allowed are whole numbers from 1", text))
		}
		entries = entries[max(0, len(entries)-limit):]
	}
	return operator.MigrationHistory{Entries: entries}, nil
}

func (m *migration) previewOf(r *http.Request) (any, error) {
	position := m.rollout.position() + 1
	if asked := r.URL.Query().Get("stage"); asked != "" {
		var err error
		if position, err = m.rollout.stages.position(asked); err != nil {
			return nil, refuse(http.StatusBadRequest, "unknown_stage", err.Error())
		}
	}
	if position < 1 || position > len(m.rollout.stages) {
		return nil, refuse(http.StatusConflict, "no_stage", "there is no stage after the last: name one with stage=")
	}
	return m.preview(m.rollout.stages[position-1])
}

func (m *migration) reportOf(r *http.Request) (any, error) {
	from, to, err := timesOf(r, time.Now().Add(-24*time.Hour))
	if err != nil {
		return nil, err
	}
	return m.report(from, to), nil
}

// timesOf reads from and to (RFC 3339) of a request; to is now where absent.
func timesOf(r *http.Request, from time.Time) (time.Time, time.Time, error) {
	to := time.Now()
	for key, at := range map[string]*time.Time{"from": &from, "to": &to} {
		text := r.URL.Query().Get(key)
		if text == "" {
			continue
		}
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return from, to, refuse(http.StatusBadRequest, "invalid_parameter", fmt.Sprintf("%s is %q: allowed are times like 2026-01-31T15:04:05Z", key, text))
		}
		*at = parsed
	}
	if !from.Before(to) {
		return from, to, refuse(http.StatusBadRequest, "invalid_parameter", "from must be before to")
	}
	return from, to, nil
}

func (m *migration) serveAttest(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Item string `json:"item"`
	}
	if !readBody(w, r, &body) {
		return
	}
	if err := m.attest(body.Item, operator.CallerOf(r).Author()); err != nil {
		writeRefusal(w, err)
		return
	}
	door.WriteJSON(w, http.StatusOK, m.preflight(r.Context()))
}

func (m *migration) serveAdvance(w http.ResponseWriter, r *http.Request) {
	var body struct {
		To    string `json:"to"`    // the stage that the caller expects to be next; any where empty
		Force bool   `json:"force"` // skip the soak
	}
	if !readBody(w, r, &body) {
		return
	}
	change, err := m.advance(r.Context(), body.To, body.Force, operator.CallerOf(r).Author())
	answerChange(w, change, err)
}

func (m *migration) serveRehearse(w http.ResponseWriter, r *http.Request) {
	body := struct {
		Seconds float64 `json:"seconds"` // how long the stage is on
	}{Seconds: 10}
	if !readBody(w, r, &body) {
		return
	}
	rehearsal, err := m.rehearse(time.Duration(body.Seconds*float64(time.Second)), operator.CallerOf(r).Author())
	if err != nil {
		writeRefusal(w, err)
		return
	}
	door.WriteJSON(w, http.StatusAccepted, rehearsal)
}

func (m *migration) serveRollback(w http.ResponseWriter, r *http.Request) {
	var body struct {
		To *string `json:"to"` // id or name of the stage to go back to; the one before the present where absent
	}
	if !readBody(w, r, &body) {
		return
	}
	change, err := m.rollBack(r.Context(), body.To, operator.CallerOf(r).Author())
	answerChange(w, change, err)
}

func (m *migration) serveEmergency(w http.ResponseWriter, r *http.Request) {
	var body struct {
		ApprovedBy string `json:"approved_by"`
	}
	if !readBody(w, r, &body) {
		return
	}
	message := ""
	if body.ApprovedBy != "" {
		message = "approved by " + body.ApprovedBy
	}
	change, err := m.rollout.emergency(r.Context(), operator.CallerOf(r).Author(), message)
	answerChange(w, change, err)
}

func answerChange(w http.ResponseWriter, change operator.MigrationChange, err error) {
	if err != nil {
		writeRefusal(w, err)
		return
	}
	door.WriteJSON(w, http.StatusOK, change)
}

// readBody reads a JSON body, which may be absent, and answers the refusal itself.
func readBody(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil && err != io.EOF {
		door.WriteError(w, http.StatusBadRequest, door.Error{Code: "invalid_body", Message: "the body is not the JSON that this call takes: " + err.Error()})
		return false
	}
	return true
}
