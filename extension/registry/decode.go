// This file turns request bodies into registrations, patches, beats and reports.

package registry

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
)

// registration is the body of PUT /v1/agents/{id}.
type registration struct {
	Instance     string             `json:"instance"`
	PID          int32              `json:"pid"`
	Endpoint     string             `json:"endpoint"`
	Labels       map[string]string  `json:"labels"`
	Metadata     map[string]any     `json:"metadata"`
	Processes    []string           `json:"processes"`
	Health       string             `json:"health"`
	HealthDetail string             `json:"health_detail"`
	Vitals       map[string]float64 `json:"vitals"`
	Lease        *agents.Duration   `json:"lease"`
}

// patch is the body of PATCH /v1/agents/{id}: labels and metadata are merged (null deletes), the rest replaced.
type patch struct {
	Endpoint     *string            `json:"endpoint"`
	Labels       map[string]*string `json:"labels"`
	Metadata     map[string]any     `json:"metadata"`
	Processes    *[]string          `json:"processes"`
	Health       *string            `json:"health"`
	HealthDetail *string            `json:"health_detail"`
	Lease        *agents.Duration   `json:"lease"`
}

// processEnd is the body of POST /v1/agents/{id}/down.
type processEnd struct {
	Process string `json:"process"`
	Reason  string `json:"reason"`
	// Normal says whether the end was a normal one; where absent the reason tells, as the BEAM means it.
	Normal *bool `json:"normal"`
}

// normal follows OTP: exits with normal, shutdown and {shutdown, Term} are no errors.
func (p processEnd) normal() bool {
	if p.Normal != nil {
		return *p.Normal
	}
	reason := strings.TrimPrefix(strings.ReplaceAll(p.Reason, " ", ""), ":")
	return reason == "normal" || reason == "shutdown" ||
		strings.HasPrefix(reason, "{shutdown,") || strings.HasPrefix(reason, "{:shutdown,")
}

// decodeBody reads one JSON object of at most limit bytes into v. An absent body leaves v as it is where
// optional says so. Unknown keys are refused: they are more often typing errors than wishes.
func decodeBody(w http.ResponseWriter, r *http.Request, limit int64, optional bool, v any) error {
	if !door.IsJSON(r.Header.Get("Content-Type")) {
		return refuse(http.StatusUnsupportedMediaType, outcomeInvalid, "unsupported_media_type", "send application/json")
	}
	return decode(http.MaxBytesReader(w, r.Body, limit), optional, v)
}

func decode(body io.Reader, optional bool, v any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		_, err = d.Token() // nothing may follow
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil || !isTooLarge(err) {
			err = errors.New("something follows the JSON object")
		}
	}
	switch {
	case errors.Is(err, io.EOF) && optional:
		return nil
	case isTooLarge(err):
		return refuse(http.StatusRequestEntityTooLarge, outcomeLimited, "body_too_large", "%v (limits::max_body_bytes)", err)
	case errors.Is(err, io.EOF):
		return invalid("invalid_json", "the body is empty: a JSON object is expected")
	}
	return invalid("invalid_json", "%s", strings.TrimPrefix(err.Error(), "json: "))
}

func isTooLarge(err error) bool {
	var tooLarge *http.MaxBytesError
	return errors.As(err, &tooLarge)
}
