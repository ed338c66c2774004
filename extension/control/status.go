// This file answers what the agent is and how it does: GET /v1/status.

package control

import (
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

func (c *control) statusRoutes() []operator.Route {
	return []operator.Route{{Pattern: "GET /v1/status", Handler: func(w http.ResponseWriter, _ *http.Request) {
		door.WriteJSON(w, http.StatusOK, c.status())
	}}}
}

func (c *control) status() operator.Status {
	s := operator.Status{
		Command:       c.set.BuildInfo.Command,
		Version:       c.set.BuildInfo.Version,
		API:           operator.APIVersion,
		PID:           os.Getpid(),
		UID:           os.Getuid(),
		StartedAt:     c.startedAt.UTC().Truncate(time.Millisecond),
		UptimeSeconds: time.Since(c.startedAt).Seconds(),
		Components:    c.health.list(),
	}
	for _, id := range c.cfg.Serve {
		s.Serves = append(s.Serves, id.String())
	}
	s.Healthy = true
	for _, component := range s.Components {
		s.Healthy = s.Healthy && component.Error == ""
	}
	return s
}

// uintParam reads a query parameter that is a whole number, and answers the refusal itself.
func uintParam(w http.ResponseWriter, r *http.Request, name string, absent uint64) (uint64, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return absent, true
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		door.WriteError(w, http.StatusBadRequest, door.Error{
			Code: "invalid_parameter", Message: name + " is " + strconv.Quote(text) + ": allowed are whole numbers from 0",
		})
		return 0, false
	}
	return n, true
}
