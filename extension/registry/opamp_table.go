// This file keeps OpAMP clients in the table: whose an instance uid is, and what is kept of what they say.

package registry

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/open-telemetry/opamp-go/protobufs"

	"github.com/foundation-agent/foundation-agent/internal/agents"
)

const viaOpAMP = "opamp"

var errHeldByAnother = errors.New("another client is connected with this instance uid")

// connection is what an OpAMP agent is known by: a WebSocket, or a host that sends plain HTTP.
type connection interface{ hangUp() }

// holds reports whether the agent lives on this connection.
func (r *registry) holds(from connection, id string) bool {
	e, ok := r.byID.Load(id)
	return ok && e.conn == from
}

// lose takes an agent down, if it lives on this connection.
func (r *registry) lose(from connection, id string, down agents.Down) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.byID.Load(id); ok && e.conn == from {
		r.remove(e, down)
		r.shadowWrite()
	}
}

// told merges what a message says into the agent. known is false where the message does not say who the
// agent is and nobody knows yet.
func (o *opamp) told(from connection, id string, m *protobufs.AgentToServer, watch string) (known bool, err error) {
	o.registry.mu.Lock()
	defer o.registry.mu.Unlock()
	e, taken := o.byID.Load(id)
	switch {
	case taken && e.conn != nil && e.conn != from:
		return false, errHeldByAnother
	case taken && e.agent.Load().Via != viaOpAMP:
		return false, errHeldByAnother
	case !taken && m.AgentDescription == nil:
		return false, nil
	}
	now := o.now()
	a := agents.Agent{
		ID: id, Instance: rand.Text(), Health: agents.HealthUnknown, State: agents.StateUp,
		Watch: watch, Via: viaOpAMP, RegisteredAt: now, UpdatedAt: now,
	}
	if watch == agents.WatchLease {
		a.Lease = agents.Duration(o.cfg.Lease)
	}
	var old *agents.Agent
	if taken {
		old = e.agent.Load()
		a = *old
		a.Watch, a.LastBeat = watch, now
	}
	describe(&a, m)
	if m.Capabilities != 0 { // absent where they have not changed
		a.Lease = o.lease(watch, m.Capabilities)
	}
	if err := o.checkAgent(&a); err != nil {
		return false, err
	}
	if taken && e.conn == from {
		return true, o.hear(e, old, &a, m)
	}
	// Of one that comes back after our restart only a full report tells what it has become.
	return !taken || m.AgentDescription != nil, o.take(e, &owner{conn: from}, &a)
}

// lease is how long an agent may be silent: over plain HTTP always, on a WebSocket if it promised to beat.
func (o *opamp) lease(watch string, capabilities uint64) agents.Duration {
	beats := capabilities&uint64(protobufs.AgentCapabilities_AgentCapabilities_ReportsHeartbeat) != 0
	if watch == agents.WatchConnection && !beats {
		return 0
	}
	return agents.Duration(o.cfg.Lease)
}

// hear updates an agent that lives on its connection. r.mu is held.
func (r *registry) hear(e *entry, old, a *agents.Agent, m *protobufs.AgentToServer) error {
	if err := r.roomForBytes(bytesOf(a) - e.bytes); err != nil {
		return err
	}
	e.beat.Store(r.clock.now.Load())
	a.State = agents.StateUp
	r.shadowWrite()
	if m.AgentDescription == nil && m.Health == nil && m.EffectiveConfig == nil && old.State == a.State {
		r.replace(e, a) // a beat alone is no event, and is not worth a write
		return nil
	}
	a.UpdatedAt = a.LastBeat
	r.change(e, a, agents.EventUpdated)
	return nil
}

// take puts an agent on its connection into the table; restored is its entry of before our restart, nil
// where there is none. r.mu is held.
func (r *registry) take(restored *entry, own *owner, a *agents.Agent) error {
	if err := r.room(a, own.account, restored); err != nil {
		return err
	}
	event := agents.EventRegistered
	if restored != nil {
		r.takeOut(restored)
		event = agents.EventUpdated
	}
	e := &entry{owner: *own}
	e.agent.Store(a)
	r.insert(e)
	r.store(record{Put: storedOf(e)})
	r.hub.tell(agents.Event{Type: event, At: r.now(), Agent: a})
	r.shadowWrite()
	return nil
}

// describe takes over what the message says: attributes, health, and the hash of the configuration.
func describe(a *agents.Agent, m *protobufs.AgentToServer) {
	a.Metadata = maps.Clone(a.Metadata)
	if a.Metadata == nil {
		a.Metadata = map[string]any{}
	}
	if d := m.AgentDescription; d != nil {
		a.Labels = textsOf(d.IdentifyingAttributes)
		a.Metadata["identifying"] = valuesOf(d.IdentifyingAttributes)
		a.Metadata["non_identifying"] = valuesOf(d.NonIdentifyingAttributes)
	}
	if h := m.Health; h != nil {
		a.Health, a.HealthDetail = agents.HealthUnhealthy, cut(h.LastError)
		if h.Healthy {
			a.Health = agents.HealthHealthy
		}
		if a.HealthDetail == "" {
			a.HealthDetail = cut(h.Status)
		}
		if h.StartTimeUnixNano > 0 {
			a.Metadata["start_time"] = time.Unix(0, int64(h.StartTimeUnixNano)).UTC().Format(time.RFC3339Nano)
		}
	}
	if c := m.EffectiveConfig; c != nil {
		a.Metadata["effective_config_sha256"] = hashOf(c.ConfigMap)
	}
}

// cut bounds a text for people.
func cut(text string) string {
	if len(text) <= maxDetail {
		return text
	}
	return string(bytes.ToValidUTF8([]byte(text[:maxDetail]), nil))
}

// hashOf identifies a configuration without keeping its text, which may hold secrets. Lengths go in
// before texts, so that no two maps run together.
func hashOf(config *protobufs.AgentConfigMap) string {
	h := sha256.New()
	write := func(b []byte) {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(b)))) // a hash takes all
		_, _ = h.Write(b)
	}
	files := config.GetConfigMap()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		write([]byte(name))
		write([]byte(files[name].GetContentType()))
		write(files[name].GetBody())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// textsOf are attributes as labels.
func textsOf(attributes []*protobufs.KeyValue) map[string]string {
	texts := map[string]string{}
	for _, kv := range attributes {
		switch v := kv.GetValue().GetValue().(type) {
		case *protobufs.AnyValue_StringValue:
			texts[kv.Key] = v.StringValue
		case *protobufs.AnyValue_IntValue:
			texts[kv.Key] = strconv.FormatInt(v.IntValue, 10)
		case *protobufs.AnyValue_BoolValue:
			texts[kv.Key] = strconv.FormatBool(v.BoolValue)
		case *protobufs.AnyValue_DoubleValue:
			texts[kv.Key] = strconv.FormatFloat(v.DoubleValue, 'g', -1, 64)
		}
	}
	return texts
}

// valuesOf are attributes as metadata, in the types of encoding/json.
func valuesOf(attributes []*protobufs.KeyValue) map[string]any {
	values := map[string]any{}
	for _, kv := range attributes {
		values[kv.GetKey()] = valueOf(kv.GetValue())
	}
	return values
}

func valueOf(value *protobufs.AnyValue) any {
	switch v := value.GetValue().(type) {
	case *protobufs.AnyValue_StringValue:
		return v.StringValue
	case *protobufs.AnyValue_BoolValue:
		return v.BoolValue
	case *protobufs.AnyValue_IntValue:
		return float64(v.IntValue)
	case *protobufs.AnyValue_DoubleValue:
		return v.DoubleValue
	case *protobufs.AnyValue_BytesValue:
		return hex.EncodeToString(v.BytesValue)
	case *protobufs.AnyValue_KvlistValue:
		return valuesOf(v.KvlistValue.GetValues())
	case *protobufs.AnyValue_ArrayValue:
		all := []any{}
		for _, e := range v.ArrayValue.GetValues() {
			all = append(all, valueOf(e))
		}
		return all
	}
	return nil
}
