// This file keeps the audit: each mutation, who asked for it, and what came of it. It goes to the
// log, to a bounded ring that the API shows, and into the pipeline as an event.

package control

import (
	"context"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/extension/control/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// eventMutation is the name of the event that tells of a mutation.
const eventMutation = "foundation.control.mutation"

// Mutation is one entry of the audit.
type Mutation struct {
	Seq    uint64        `json:"seq"`
	At     time.Time     `json:"at"`
	Call   string        `json:"call"` // the route's pattern: "POST /v1/flags/{name}/enable"
	Path   string        `json:"path"`
	UID    *uint32       `json:"uid,omitempty"` // proven by the kernel; absent over TCP
	PID    int32         `json:"pid,omitempty"`
	Remote string        `json:"remote,omitempty"` // over TCP, where the authenticator let it in
	Author string        `json:"author,omitempty"` // claimed
	Reason string        `json:"reason,omitempty"` // claimed
	Change string        `json:"change,omitempty"` // one of those that the call made
	Status int           `json:"status"`           // of the answer
	Took   time.Duration `json:"took_ns"`
}

type audit struct {
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	events    *extevent.Buffer

	mu   sync.Mutex
	seq  uint64
	ring []Mutation // entry seq is at (seq-1) % cap
}

func newAudit(entries int, logger *zap.Logger, telemetry *metadata.TelemetryBuilder, events *extevent.Buffer) *audit {
	return &audit{logger: logger, telemetry: telemetry, events: events, ring: make([]Mutation, 0, entries)}
}

// wrap records each call of next, also one that panics.
func (a *audit) wrap(pattern string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		start := time.Now()
		panicked := true
		defer func() {
			if panicked {
				sw.status = http.StatusInternalServerError
			}
			a.record(mutationOf(r, pattern, sw.status, start))
		}()
		next.ServeHTTP(sw, r)
		panicked = false
	})
}

func mutationOf(r *http.Request, pattern string, status int, start time.Time) Mutation {
	m := mutationBy(operator.CallerOf(r))
	m.At, m.Call, m.Path, m.Status, m.Took = start, pattern, r.URL.Path, status, time.Since(start)
	if m.UID == nil {
		m.Remote = r.RemoteAddr
	}
	return m
}

func mutationBy(caller operator.Caller) Mutation {
	m := Mutation{Author: caller.Name, Reason: caller.Reason}
	if caller.Local {
		m.UID, m.PID = &caller.Peer.UID, caller.Peer.PID
	}
	return m
}

// changes records what a restore has changed in a table, one by one, where the table tells.
func (a *audit) changes(by operator.Caller, result operator.TableResult) {
	for _, change := range result.Changes {
		m := mutationBy(by)
		m.At, m.Call, m.Path, m.Status = time.Now(), restoreCall, restorePath, http.StatusOK
		m.Change = result.Table + ": " + change
		a.record(m)
	}
}

func (a *audit) record(m Mutation) {
	a.mu.Lock()
	a.seq++
	m.Seq = a.seq
	if len(a.ring) < cap(a.ring) {
		a.ring = append(a.ring, m)
	} else {
		a.ring[(m.Seq-1)%uint64(cap(a.ring))] = m
	}
	a.mu.Unlock()

	fields := []zap.Field{
		zap.Uint64("seq", m.Seq), zap.String("call", m.Call), zap.String("path", m.Path),
		zap.Int32("pid", m.PID), zap.String("author", m.Author), zap.String("reason", m.Reason),
		zap.Int("status", m.Status), zap.Duration("took", m.Took),
	}
	if m.Change != "" {
		fields = append(fields, zap.String("change", m.Change))
	}
	attributes := map[string]any{
		"foundation.control.call": m.Call, "url.path": m.Path, "http.response.status_code": int64(m.Status),
		"foundation.control.author": m.Author, "foundation.control.reason": m.Reason,
	}
	if m.Change != "" {
		attributes["foundation.control.change"] = m.Change
	}
	if m.UID != nil {
		fields = append(fields, zap.Uint32("uid", *m.UID))
		attributes["user.id"], attributes["process.pid"] = int64(*m.UID), int64(m.PID)
	} else {
		fields = append(fields, zap.String("remote", m.Remote))
		attributes["client.address"] = m.Remote
	}
	a.logger.Info("Operator's mutation", fields...)
	a.events.Put(extevent.Event{
		Name: eventMutation, Time: m.At, Severity: plog.SeverityNumberInfo,
		Body: "An operator called " + m.Call, Attributes: attributes,
	})
	a.telemetry.ControlMutations.Add(context.Background(), 1,
		metric.WithAttributes(attribute.String("outcome", outcome(m.Status))))
}

func outcome(status int) string {
	switch {
	case status < http.StatusBadRequest:
		return "done"
	case status < http.StatusInternalServerError:
		return "refused"
	}
	return "failed"
}

// list returns the entries after seq, oldest first.
func (a *audit) list(after uint64) []Mutation {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]Mutation, 0, len(a.ring))
	oldest := a.seq - uint64(len(a.ring))
	for seq := max(after, oldest) + 1; seq <= a.seq; seq++ {
		out = append(out, a.ring[(seq-1)%uint64(cap(a.ring))])
	}
	return out
}

func (a *audit) routes() []operator.Route {
	return []operator.Route{{Pattern: "GET /v1/audit", Handler: a.serveList}}
}

func (a *audit) serveList(w http.ResponseWriter, r *http.Request) {
	after, ok := uintParam(w, r, "after", 0)
	if !ok {
		return
	}
	door.WriteJSON(w, http.StatusOK, map[string][]Mutation{"mutations": a.list(after)})
}

// statusWriter remembers the status that a handler answers with.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the writer beneath.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
