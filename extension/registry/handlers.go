// This file is the handler of each operation.

package registry

import (
	"net/http"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

func (a *api) serveRegister(c caller, w http.ResponseWriter, r *http.Request) (answer, error) {
	var req registration
	if err := a.writeBody(w, r, true, &req); err != nil {
		return answer{}, err
	}
	done, err := a.register(c, r.PathValue("id"), req)
	if err != nil {
		return answer{}, err
	}
	a.sync(r.Context())
	if done.Created {
		return answer{http.StatusCreated, done}, nil
	}
	return ok(done), nil
}

func (a *api) serveGet(_ caller, _ http.ResponseWriter, r *http.Request) (answer, error) {
	id := r.PathValue("id")
	if e, found := a.byID.Load(id); found {
		return ok(e.agent.Load()), nil
	}
	no := notFound(id)
	if down, known := a.hub.lastDown(id); known {
		no.tell.Details = map[string]any{"down": down}
	}
	return answer{}, no
}

func (a *api) serveList(_ caller, _ http.ResponseWriter, r *http.Request) (answer, error) {
	q, err := queryOf(r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	return a.page(q), nil
}

func (a *api) serveQuery(_ caller, w http.ResponseWriter, r *http.Request) (answer, error) {
	var q query
	if err := decodeBody(w, r, a.cfg.Limits.MaxBodyBytes, true, &q); err != nil {
		return answer{}, err
	}
	if err := q.check(); err != nil {
		return answer{}, err
	}
	return a.page(q), nil
}

func (a *api) page(q query) answer {
	p := find(a.all(), q)
	p.Shadow = !a.flag.Enabled()
	return ok(p)
}

func (a *api) serveCount(_ caller, _ http.ResponseWriter, r *http.Request) (answer, error) {
	q, err := queryOf(r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	return ok(map[string]int{"count": find(a.all(), q).Total}), nil
}

func (a *api) serveUpdate(c caller, w http.ResponseWriter, r *http.Request) (answer, error) {
	var p patch
	if err := a.writeBody(w, r, false, &p); err != nil {
		return answer{}, err
	}
	agent, err := a.update(c, r.PathValue("id"), p)
	return ok(agent), err
}

func (a *api) serveHeartbeat(c caller, w http.ResponseWriter, r *http.Request) (answer, error) {
	var b beat
	if err := decodeBody(w, r, a.cfg.Limits.MaxBodyBytes, true, &b); err != nil {
		return answer{}, err
	}
	agent, err := a.heartbeat(c, r.PathValue("id"), b)
	if err != nil {
		return answer{}, err
	}
	return ok(struct {
		State string          `json:"state"`
		Lease agents.Duration `json:"lease"` // 0s: no beats are expected
	}{agent.State, agent.Lease}), nil
}

// goodbye is the body of DELETE /v1/agents/{id}; it may be absent.
type goodbye struct {
	Reason string `json:"reason"`
}

func (a *api) serveUnregister(c caller, w http.ResponseWriter, r *http.Request) (answer, error) {
	var bye goodbye
	if err := a.writeBody(w, r, true, &bye); err != nil {
		return answer{}, err
	}
	if err := checkDetail("reason", bye.Reason); err != nil {
		return answer{}, err
	}
	if err := a.unregister(c, r.PathValue("id"), bye.Reason); err != nil {
		return answer{}, err
	}
	a.sync(r.Context())
	return answer{status: http.StatusNoContent}, nil
}

func (a *api) serveProcessDown(c caller, w http.ResponseWriter, r *http.Request) (answer, error) {
	var end processEnd
	if err := a.writeBody(w, r, false, &end); err != nil {
		return answer{}, err
	}
	if err := checkName("process", end.Process, maxDetail); err != nil {
		return answer{}, err
	}
	if err := checkDetail("reason", end.Reason); err != nil {
		return answer{}, err
	}
	down, err := a.processDown(c, r.PathValue("id"), end)
	return answer{http.StatusAccepted, map[string]agents.Down{"down": down}}, err
}

func (a *api) serveDowns(caller, http.ResponseWriter, *http.Request) (answer, error) {
	downs := a.hub.downs(a.now())
	if downs == nil {
		downs = []agents.Down{}
	}
	return ok(map[string][]agents.Down{"downs": downs}), nil
}

func (a *api) serveInfo(caller, http.ResponseWriter, *http.Request) (answer, error) {
	return ok(a.info()), nil
}

func (a *api) serveEnsure(caller, http.ResponseWriter, *http.Request) (answer, error) {
	return ok(a.ensure()), nil
}

// writeBody reads the body of a write that makes events, unless too many wait already.
func (a *api) writeBody(w http.ResponseWriter, r *http.Request, optional bool, v any) error {
	if err := a.holdBack(); err != nil {
		return err
	}
	return decodeBody(w, r, a.cfg.Limits.MaxBodyBytes, optional, v)
}
