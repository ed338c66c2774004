// This file is how a request is refused: with a status, a stable code and what to do.

package migration

import (
	"errors"
	"net/http"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

// refusal is an error with its answer to an operator.
type refusal struct {
	status int
	answer door.Error
}

func (r *refusal) Error() string { return r.answer.Message }

func refuse(status int, code, message string) error {
	return &refusal{status: status, answer: door.Error{Code: code, Message: message}}
}

// writeRefusal answers err.
func writeRefusal(w http.ResponseWriter, err error) {
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{status: http.StatusInternalServerError, answer: door.Error{Code: "internal", Message: err.Error()}}
	}
	door.WriteError(w, r.status, r.answer)
}
