// This file is one entry of the table: the agent as readers see it, and what proves who may change it.

package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"sync/atomic"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/proc"
)

// entry is one registered agent. A new life of the id is a new entry.
type entry struct {
	owner // never changed

	agent atomic.Pointer[agents.Agent] // replaced under registry.mu
	beat  atomic.Int64                 // on the lease clock: when it was last heard of

	// Guarded by registry.mu.
	bytes   int64
	recheck int64 // on the lease clock: when to look again whether an unresponsive process lives
}

// owner is who registered an entry, and how that is proven.
type owner struct {
	account account
	process proc.Identity // PID is 0 where the kernel does not show the process to us
	token   tokenHash     // zero where none was given out
	conn    connection    // what an OpAMP agent lives on, nil for others
}

// account is whom an entry or a watcher is counted for: a user of this host, or all callers over TCP.
type account struct {
	uid   uint32
	local bool
}

type tokenHash [sha256.Size]byte

// newToken returns a token to give out, and the hash of it that is kept.
func newToken() (string, tokenHash) {
	token := rand.Text()
	return token, sha256.Sum256([]byte(token))
}

// is reports whether c is the owner: its peer process is the one that registered, or it holds the token.
func (o *owner) is(c door.Caller) bool {
	if c.Local && o.process.PID != 0 && o.process.PID == c.Peer.PID && sameStart(o.process.Start, c.Peer.Start) {
		return true
	}
	if c.Token == "" || o.token == (tokenHash{}) {
		return false
	}
	given := sha256.Sum256([]byte(c.Token))
	return subtle.ConstantTimeCompare(given[:], o.token[:]) == 1
}

// sameStart compares start times, of which one may not have been readable.
func sameStart(a, b uint64) bool { return a == b || a == 0 || b == 0 }

// entryOverhead is what an entry costs beside its texts: the structs, its places in the indices, and
// the pidfd's bookkeeping.
const entryOverhead = 768

// bytesOf estimates the memory that an agent holds.
func bytesOf(a *agents.Agent) int64 {
	n := entryOverhead + len(a.ID) + len(a.Instance) + len(a.Endpoint) + len(a.HealthDetail)
	for k, v := range a.Labels {
		n += mapSlot + len(k) + len(v)
	}
	for k := range a.Vitals {
		n += mapSlot + len(k)
	}
	for _, p := range a.Processes {
		n += 16 + len(p)
	}
	return int64(n) + bytesOfValue(a.Metadata)
}

const mapSlot = 40 // two words of key, two of value, and the map's own share

func bytesOfValue(v any) int64 {
	switch v := v.(type) {
	case string:
		return 16 + int64(len(v))
	case map[string]any:
		n := int64(48)
		for k, e := range v {
			n += mapSlot + int64(len(k)) + bytesOfValue(e)
		}
		return n
	case []any:
		n := int64(24)
		for _, e := range v {
			n += 16 + bytesOfValue(e)
		}
		return n
	default:
		return 8
	}
}
