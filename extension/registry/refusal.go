// This file is how the registry says no: one type from the rule that refuses to the HTTP answer and the metric.

package registry

import (
	"fmt"
	"net/http"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

// outcome of an operation, as the metric names it.
type outcome int

const (
	outcomeOK outcome = iota
	outcomeInvalid
	outcomeNotFound
	outcomeRefused
	outcomeDisabled
	outcomeLimited
	outcomeFailed
	outcomeCount
)

var outcomeNames = [outcomeCount]string{"ok", "invalid", "not_found", "refused", "disabled", "limited", "failed"}

// refusal is an error with its HTTP status, its outcome, and what the caller is told.
type refusal struct {
	status  int
	outcome outcome
	tell    door.Error
}

func (r *refusal) Error() string { return r.tell.Code + ": " + r.tell.Message }

func refuse(status int, o outcome, code, format string, args ...any) *refusal {
	return &refusal{status: status, outcome: o, tell: door.Error{Code: code, Message: fmt.Sprintf(format, args...)}}
}

// invalid is a request that is wrong in itself, whoever sends it.
func invalid(code, format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, outcomeInvalid, code, format, args...)
}

// tooLarge is a well-formed entry that breaks a bound of its own.
func tooLarge(key string, value, limit any) *refusal {
	e := refuse(http.StatusUnprocessableEntity, outcomeLimited, "limit_exceeded",
		"%s is %v, the limit is %v (limits::%s)", what(key), value, limit, key)
	e.tell.Details = map[string]any{"limit": key, "value": value, "max": limit}
	return e
}

// full is a bound of the registry as a whole: it may do later.
func full(key string, limit any) *refusal {
	e := refuse(http.StatusTooManyRequests, outcomeLimited, "registry_full",
		"%s is at its limit of %v (limits::%s)", what(key), limit, key)
	e.tell.Details = map[string]any{"limit": key, "max": limit}
	return e
}

func what(key string) string {
	if text, ok := limitTexts[key]; ok {
		return text
	}
	return key
}

var limitTexts = map[string]string{
	"max_entries":          "the number of agents",
	"max_entries_per_uid":  "the number of agents of one user",
	"max_bytes":            "the memory of all agents",
	"max_labels":           "the number of labels",
	"max_label_bytes":      "a label's length in bytes",
	"max_metadata_bytes":   "the size of the metadata in bytes",
	"max_metadata_depth":   "the depth of the metadata",
	"max_vitals":           "the number of vitals",
	"max_processes":        "the number of processes within the agent",
	"max_watchers":         "the number of watchers",
	"max_watchers_per_uid": "the number of watchers of one user",
}

func notFound(id string) *refusal {
	return refuse(http.StatusNotFound, outcomeNotFound, "not_found", "no agent %q is registered", id)
}

func notProven(id string) *refusal {
	return refuse(http.StatusForbidden, outcomeRefused, "not_proven",
		"the caller is neither the process that registered %q nor holds its token (header %s)", id, door.TokenHeader)
}

func disabled(flag string) *refusal {
	return refuse(http.StatusConflict, outcomeDisabled, "registry_disabled",
		"reads are off (flag %s): registrations are recorded, use your local path", flag)
}
