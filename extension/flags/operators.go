// This file is the operators' API of flags. Control serves it, proves who calls, and audits.

package flags

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/flagd"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// maxOperatorBody bounds the body of an operator's call.
const maxOperatorBody = 64 << 10

// OperatorRoutes are the operators' calls.
func (e *flagsExtension) OperatorRoutes() []operator.Route {
	return []operator.Route{
		{Pattern: "GET /v1/flags", Handler: e.serveList},
		{Pattern: "GET /v1/flags/{name}", Handler: e.serveGet},
		{Pattern: "POST /v1/flags/{name}/enable", Handler: e.serveSwitch(true)},
		{Pattern: "POST /v1/flags/{name}/disable", Handler: e.serveSwitch(false)},
		{Pattern: "POST /v1/flags/{name}/set", Handler: e.serveSet},
		{Pattern: "POST /v1/flags/{name}/percentage", Handler: e.servePercentage},
		{Pattern: "POST /v1/flags/{name}/reset", Handler: e.serveReset},
		{Pattern: "POST /v1/flags/reset", Handler: e.serveResetAll},
		{Pattern: "POST /v1/flags/emergency-rollback", Handler: e.serveRollback},
	}
}

func (e *flagsExtension) serveList(w http.ResponseWriter, _ *http.Request) {
	s := e.state.Load()
	door.WriteJSON(w, http.StatusOK, map[string][]operator.Flag{"flags": e.views(s, s.definitions.Keys())})
}

func (e *flagsExtension) serveGet(w http.ResponseWriter, r *http.Request) {
	s := e.state.Load()
	if _, err := s.find(r.PathValue("name")); err != nil {
		e.refuse(w, err)
		return
	}
	door.WriteJSON(w, http.StatusOK, e.views(s, []string{r.PathValue("name")})[0])
}

func (e *flagsExtension) serveSwitch(on bool) http.HandlerFunc {
	value := json.RawMessage("false")
	if on {
		value = json.RawMessage("true")
	}
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		if err := e.state.Load().requireBoolean(name); err != nil {
			e.refuse(w, err)
			return
		}
		n, persisted, err := e.setValue(name, value, operator.CallerOf(r).Author())
		e.answer(w, n, persisted, err, name)
	}
}

func (e *flagsExtension) serveSet(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Value   json.RawMessage `json:"value"`
		Variant string          `json:"variant"`
	}
	if err := readBody(w, r, &body); err != nil {
		e.refuse(w, err)
		return
	}
	name, by := r.PathValue("name"), operator.CallerOf(r).Author()
	switch {
	case (body.Value == nil) == (body.Variant == ""):
		e.refuse(w, invalid(errors.New(`the body is {"value": …} or {"variant": "…"}`)))
	case body.Variant != "":
		n, persisted, err := e.setVariant(name, body.Variant, by)
		e.answer(w, n, persisted, err, name)
	default:
		n, persisted, err := e.setValue(name, body.Value, by)
		e.answer(w, n, persisted, err, name)
	}
}

func (e *flagsExtension) servePercentage(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Percentage *float64 `json:"percentage"`
	}
	if err := readBody(w, r, &body); err != nil {
		e.refuse(w, err)
		return
	}
	if body.Percentage == nil {
		e.refuse(w, invalid(errors.New(`the body is {"percentage": 0 to 100}`)))
		return
	}
	name := r.PathValue("name")
	n, persisted, err := e.setShare(name, *body.Percentage, operator.CallerOf(r).Author())
	e.answer(w, n, persisted, err, name)
}

func (e *flagsExtension) serveReset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	n, persisted, err := e.reset(name, operator.CallerOf(r).Author())
	e.answer(w, n, persisted, err, name)
}

func (e *flagsExtension) serveResetAll(w http.ResponseWriter, r *http.Request) {
	n, persisted := e.resetAll(operator.CallerOf(r).Author())
	e.answer(w, n, persisted, nil, n.definitions.Keys()...)
}

func (e *flagsExtension) serveRollback(w http.ResponseWriter, r *http.Request) {
	n, persisted := e.rollback(operator.CallerOf(r).Author())
	e.answer(w, n, persisted, nil)
}

// answer shows the flags that were named, and those that the change has set as well.
func (e *flagsExtension) answer(w http.ResponseWriter, n *state, persisted bool, err error, named ...string) {
	if err != nil {
		e.refuse(w, err)
		return
	}
	for _, f := range n.definitions.Flags {
		if o, ok := n.overrides[f.Key]; ok && o.At.Equal(n.at) && !slices.Contains(named, f.Key) {
			named = append(named, f.Key)
		}
	}
	door.WriteJSON(w, http.StatusOK, operator.FlagChange{Flags: e.views(n, named), Persisted: persisted})
}

// refuse answers with what was wrong, and with what exists.
func (e *flagsExtension) refuse(w http.ResponseWriter, err error) {
	status, code := http.StatusInternalServerError, "failed"
	var refusal *refusal
	if errors.As(err, &refusal) {
		status, code = refusal.status, refusal.code
	}
	door.WriteError(w, status, door.Error{
		Code: code, Message: err.Error(),
		Details: map[string][]string{"flags": e.state.Load().definitions.Keys()},
	})
}

func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOperatorBody))
	if err != nil {
		return invalid(err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return invalid(err)
	}
	return nil
}

// views shows flags as operators see them. Names that are not defined are left out.
func (e *flagsExtension) views(s *state, names []string) []operator.Flag {
	bound := e.Bound()
	host := flagd.KeyContext(e.cfg.HostKey)
	views := make([]operator.Flag, 0, len(names))
	for _, name := range names {
		if f, ok := s.definitions.Flag(name); ok {
			view := viewOf(s, f, f.Evaluate(host, s.at))
			view.Bound = slices.Contains(bound, name)
			views = append(views, view)
		}
	}
	return views
}

func viewOf(s *state, f *flagd.Flag, byFile flagd.Resolution) operator.Flag {
	description, _ := f.Metadata[metaDescription].(string)
	holds := s.resolved[f.Key]
	view := operator.Flag{
		Name:        f.Key,
		Description: description,
		Type:        string(f.Type),
		State:       "ENABLED",
		Value:       valueOf(holds),
		Variant:     variantOf(holds),
		Reason:      holds.Reason,
		Variants:    f.VariantNames(),
		FileValue:   valueOf(byFile),
		Source:      f.Source,
		Migration:   isMigration(f),
		DependsOn:   dependsOn(f),
	}
	if f.Disabled {
		view.State = "DISABLED"
	}
	if o, ok := s.overrides[f.Key]; ok {
		view.Override = &operator.FlagOverride{
			Kind:      o.Kind,
			Value:     o.shown(),
			Author:    o.By.Name,
			Reason:    o.By.Reason,
			At:        o.At,
			MasksFile: o.Kind == kindPercentage || !reflect.DeepEqual(valueOf(holds), valueOf(byFile)),
		}
	}
	return view
}

// valueOf is the value of a resolution as JSON has it, nil where the application's default holds.
func valueOf(r flagd.Resolution) any {
	if r.Variant == nil {
		return nil
	}
	return r.Variant.Value
}

func variantOf(r flagd.Resolution) string {
	if r.Variant == nil {
		return ""
	}
	return r.Variant.Name
}
