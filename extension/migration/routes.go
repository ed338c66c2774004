// This file is the operators' API of the migration: /v1/migration.

package migration

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// maxBody bounds what a request may carry, in bytes.
const maxBody = 64 << 10

// OperatorRoutes implements operator.Routes.
func (m *migration) OperatorRoutes() []operator.Route {
	return []operator.Route{
		{Pattern: "POST /v1/migration/rollback", Handler: m.serveRollback},
		{Pattern: "POST /v1/migration/emergency-rollback", Handler: m.serveEmergency},
	}
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
