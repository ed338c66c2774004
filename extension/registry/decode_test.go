package registry

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

func stringBody(s string) io.Reader { return strings.NewReader(s) }

func TestNormalEndsAsOTPMeansThem(t *testing.T) {
	yes, no := true, false
	for _, test := range []struct {
		end    processEnd
		normal bool
	}{
		{processEnd{Reason: "normal"}, true},
		{processEnd{Reason: ":normal"}, true},
		{processEnd{Reason: "shutdown"}, true},
		{processEnd{Reason: "{shutdown, :done}"}, true},
		{processEnd{Reason: "{:shutdown, 1}"}, true},
		{processEnd{Reason: "killed"}, false},
		{processEnd{Reason: "shutdown_failed"}, false},
		{processEnd{Reason: ""}, false},
		{processEnd{Reason: "killed", Normal: &yes}, true},
		{processEnd{Reason: "normal", Normal: &no}, false},
	} {
		assert.Equal(t, test.normal, test.end.normal(), test.end)
	}
}

// What is taken is within bounds and can be stored and read back.
func FuzzRegistration(f *testing.F) {
	f.Add("a", `{"labels":{"a":"b"},"metadata":{"x":[1,{"y":null}]},"lease":"3s","endpoint":":9464","vitals":{"m":1}}`, `{"metadata":{"x":null}}`)
	f.Add("b", `{"health":"healthy","processes":["p"],"instance":"i"}`, `{"labels":{"a":null},"health":"degraded"}`)
	f.Fuzz(func(t *testing.T, id, body, patchBody string) {
		r, err := newRegistry(createDefaultConfig().(*Config), zap.NewNop())
		require.NoError(t, err)
		c := caller{via: viaTCP, addr: netip.MustParseAddr("127.0.0.1")}
		var req registration
		if decode(stringBody(body), true, &req) != nil {
			return
		}
		done, err := r.register(c, id, req)
		if err != nil {
			return
		}
		e, ok := r.byID.Load(id)
		require.True(t, ok)
		line, err := json.Marshal(record{Put: storedOf(e)})
		require.NoError(t, err)
		var back record
		require.NoError(t, json.Unmarshal(line, &back))
		require.Equal(t, e.owner, back.Put.owner())
		c.Caller = door.Caller{Token: done.Token}
		var p patch
		if decode(stringBody(patchBody), false, &p) == nil {
			_, _ = r.update(c, id, p)
		}
		bytes := r.bytes.Load()
		r.recount()
		require.Equal(t, r.bytes.Load(), bytes)
	})
}

func FuzzBackup(f *testing.F) {
	f.Add([]byte("{\"agent_registry_format\":1}\n{\"put\":{\"agent\":{\"id\":\"a\",\"instance\":\"i\",\"health\":\"unknown\"},\"uid\":0}}\n"))
	f.Add([]byte("{\"agent_registry_format\":1}\n{\"put\":{\"agent\":{\"id\":\"a\"},\"process\":{\"pid\":1,\"start\":2,\"boot\":\"x\"}}}\n"))
	f.Fuzz(func(t *testing.T, backup []byte) {
		r, err := newRegistry(createDefaultConfig().(*Config), zap.NewNop())
		require.NoError(t, err)
		restoration, err := table{registry: r}.Restore(t.Context(), bytes.NewReader(backup))
		if err != nil {
			require.Zero(t, r.byID.Len())
			return
		}
		n, err := restoration.Apply()
		require.NoError(t, err)
		require.Equal(t, int64(r.byID.Len()), n)
	})
}

func FuzzHeartbeat(f *testing.F) {
	f.Add(`{"vitals":{"memory":1e9},"health":"healthy"}`, `{"process":"<0.1.0>","reason":"normal"}`, `{"reason":"bye"}`)
	f.Fuzz(func(t *testing.T, beatBody, downBody, byeBody string) {
		r, err := newRegistry(createDefaultConfig().(*Config), zap.NewNop())
		require.NoError(t, err)
		var b beat
		if decode(stringBody(beatBody), true, &b) == nil {
			_ = r.checkVitals(b.Vitals)
			_ = checkHealth(b.Health, b.HealthDetail)
		}
		var end processEnd
		if decode(stringBody(downBody), false, &end) == nil {
			end.normal()
		}
		var bye goodbye
		_ = decode(stringBody(byeBody), true, &bye)
	})
}
