// This file answers which agents meet given criteria, a page at a time.

package registry

import (
	"cmp"
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

const (
	defaultPage = 100
	maxPage     = 1000
	maxCriteria = 32
)

// query is the body of POST /v1/agents/query: agents that meet all criteria, in order of their ids.
type query struct {
	Where []criterion `json:"where"`
	Limit int         `json:"limit"` // agents on a page; 0: defaultPage
	After string      `json:"after"` // the id that the page before ended with
}

// page is the answer to a query.
type page struct {
	Agents []*agents.Agent `json:"agents"`
	Total  int             `json:"total"`            // that meet the criteria, on all pages
	Next   string          `json:"next,omitempty"`   // what to ask for as after; absent on the last page
	Shadow bool            `json:"shadow,omitempty"` // reads are off for applications
}

// criterion compares one field with a value.
type criterion struct {
	Field path `json:"field"`
	Op    op   `json:"op"`
	Value any  `json:"value"`
}

// path of a field: labels.zone, metadata.model.name, vitals.memory, state … In JSON a text with dots, or
// an array where a key holds dots itself.
type path []string

// UnmarshalJSON implements json.Unmarshaler.
func (p *path) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*p = strings.Split(text, ".")
		return nil
	}
	return json.Unmarshal(b, (*[]string)(p))
}

// op is how a criterion compares. A missing field equals nothing, is in nothing, and is neither greater
// nor less. Numbers are compared with numbers, texts with texts.
type op string

const (
	opEq    op = "eq"
	opNe    op = "ne"
	opIn    op = "in"
	opNotIn op = "not_in"
	opGt    op = "gt"
	opLt    op = "lt"
)

// fields are what a path may begin with. A nested one goes on; the others end there.
var fields = map[string]struct {
	nested bool
	value  func(*agents.Agent, []string) (any, bool)
}{
	"id":       {value: func(a *agents.Agent, _ []string) (any, bool) { return a.ID, true }},
	"instance": {value: func(a *agents.Agent, _ []string) (any, bool) { return a.Instance, true }},
	"pid":      {value: func(a *agents.Agent, _ []string) (any, bool) { return float64(a.PID), a.PID != 0 }},
	"endpoint": {value: func(a *agents.Agent, _ []string) (any, bool) { return a.Endpoint, a.Endpoint != "" }},
	"health":   {value: func(a *agents.Agent, _ []string) (any, bool) { return a.Health, true }},
	"state":    {value: func(a *agents.Agent, _ []string) (any, bool) { return a.State, true }},
	"watch":    {value: func(a *agents.Agent, _ []string) (any, bool) { return a.Watch, true }},
	"via":      {value: func(a *agents.Agent, _ []string) (any, bool) { return a.Via, true }},
	"labels": {nested: true, value: func(a *agents.Agent, rest []string) (any, bool) {
		v, ok := a.Labels[strings.Join(rest, ".")]
		return v, ok
	}},
	"vitals": {nested: true, value: func(a *agents.Agent, rest []string) (any, bool) {
		v, ok := a.Vitals[strings.Join(rest, ".")]
		return v, ok
	}},
	"metadata": {nested: true, value: func(a *agents.Agent, rest []string) (any, bool) {
		return dig(a.Metadata, rest)
	}},
}

// dig follows keys through nested objects.
func dig(v any, keys []string) (any, bool) {
	for _, k := range keys {
		object, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = object[k]; !ok {
			return nil, false
		}
	}
	return v, true
}

func (q *query) check() error {
	if q.Limit < 0 || q.Limit > maxPage {
		return invalid("invalid_limit", "limit is %d: 1 to %d is allowed", q.Limit, maxPage)
	}
	if q.Limit == 0 {
		q.Limit = defaultPage
	}
	if len(q.Where) > maxCriteria {
		return invalid("invalid_query", "%d criteria: at most %d are allowed", len(q.Where), maxCriteria)
	}
	for _, c := range q.Where {
		if err := c.check(); err != nil {
			return err
		}
	}
	return nil
}

func (c criterion) check() error {
	if len(c.Field) == 0 {
		return invalid("invalid_query", "a criterion has no field")
	}
	f, ok := fields[c.Field[0]]
	if !ok || f.nested == (len(c.Field) == 1) {
		return invalid("invalid_query", "field %q: id, instance, pid, endpoint, health, state, watch, via, labels.<key>, vitals.<key> and metadata.<key>… are allowed",
			strings.Join(c.Field, "."))
	}
	switch c.Op {
	case opEq, opNe:
	case opIn, opNotIn:
		if _, ok := c.Value.([]any); !ok {
			return invalid("invalid_query", "%s on %q wants an array as value", c.Op, strings.Join(c.Field, "."))
		}
	case opGt, opLt:
		switch c.Value.(type) {
		case float64, string:
		default:
			return invalid("invalid_query", "%s on %q wants a number or a text as value", c.Op, strings.Join(c.Field, "."))
		}
	default:
		return invalid("invalid_query", "op %q: eq, ne, in, not_in, gt and lt are allowed", c.Op)
	}
	return nil
}

func (c criterion) met(a *agents.Agent) bool {
	v, ok := fields[c.Field[0]].value(a, c.Field[1:])
	switch c.Op {
	case opEq:
		return ok && reflect.DeepEqual(v, c.Value)
	case opNe:
		return !ok || !reflect.DeepEqual(v, c.Value)
	case opIn:
		return ok && contains(c.Value.([]any), v)
	case opNotIn:
		return !ok || !contains(c.Value.([]any), v)
	case opGt:
		order, comparable := compare(v, c.Value)
		return ok && comparable && order > 0
	default: // opLt, by check
		order, comparable := compare(v, c.Value)
		return ok && comparable && order < 0
	}
}

func contains(values []any, v any) bool {
	return slices.ContainsFunc(values, func(e any) bool { return reflect.DeepEqual(e, v) })
}

func compare(a, b any) (order int, comparable bool) {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return cmp.Compare(a, b), ok
	case string:
		b, ok := b.(string)
		return cmp.Compare(a, b), ok
	}
	return 0, false
}

// find returns a page of those that meet the query.
func find(all []*agents.Agent, q query) page {
	matched := slices.DeleteFunc(all, func(a *agents.Agent) bool {
		return slices.ContainsFunc(q.Where, func(c criterion) bool { return !c.met(a) })
	})
	p := page{Total: len(matched)}
	p.Agents = slices.DeleteFunc(matched, func(a *agents.Agent) bool { return a.ID <= q.After && q.After != "" })
	slices.SortFunc(p.Agents, func(a, b *agents.Agent) int { return cmp.Compare(a.ID, b.ID) })
	if len(p.Agents) > q.Limit {
		p.Agents = p.Agents[:q.Limit]
		p.Next = p.Agents[q.Limit-1].ID
	}
	return p
}

// queryOf reads a query from URL parameters: limit, after, and <field>=<text or number> for equality.
func queryOf(params url.Values) (query, error) {
	var q query
	for key, values := range params {
		switch key {
		case "limit":
			n, err := strconv.Atoi(values[0])
			if err != nil || n < 1 {
				return q, invalid("invalid_limit", "limit is %.32q: 1 to %d is allowed", values[0], maxPage)
			}
			q.Limit = n
		case "after":
			q.After = values[0]
		case paramShadow, operatorParamAuthor, operatorParamReason:
		default:
			for _, v := range values {
				q.Where = append(q.Where, paramCriterion(strings.Split(key, "."), v))
			}
		}
	}
	return q, q.check()
}

// paramCriterion is equality with a text, or, where a field may be a number or a boolean, with either.
func paramCriterion(field path, text string) criterion {
	values := []any{text}
	if field[0] != "labels" {
		var scalar any
		if json.Unmarshal([]byte(text), &scalar) == nil {
			values = append(values, scalar)
		}
	}
	return criterion{Field: field, Op: opIn, Value: values}
}
