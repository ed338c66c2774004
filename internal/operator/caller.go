// This file says who calls the operators' API: what the kernel or an authenticator proves, and
// what the caller claims beside it.

package operator

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/unixsocket"
)

// Query parameters that every mutation takes: who the caller says it is, and why it does this.
const (
	ParamAuthor = "author"
	ParamReason = "reason"
)

// maxClaim bounds each claimed text, in runes.
const maxClaim = 1024

// Caller is who sent a request to the operators' API.
type Caller struct {
	// Peer is the process at the other end of the unix socket, as the kernel tells it; Local says
	// that it is known. Over TCP the authenticator of the configuration has let the caller in.
	Peer  unixsocket.Peer
	Local bool
	// Name and Reason are claimed by the caller ("" where not given), bounded, without control characters.
	Name   string
	Reason string
}

// CallerOf returns who sent r.
func CallerOf(r *http.Request) Caller {
	peer, local := unixsocket.PeerOf(r.Context())
	q := r.URL.Query()
	return Caller{
		Peer:   peer,
		Local:  local,
		Name:   claim(q.Get(ParamAuthor)),
		Reason: claim(q.Get(ParamReason)),
	}
}

type callerKey struct{}

// WithCaller keeps c in the context of what is done on the caller's behalf. The control extension
// does so for every request.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerIn returns the caller that WithCaller kept; for a table that is restored, say, who did it.
func CallerIn(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// Proven is the part of the caller that is not merely claimed: "uid=1000" or "tcp".
func (c Caller) Proven() string {
	if !c.Local {
		return "tcp"
	}
	return fmt.Sprintf("uid=%d", c.Peer.UID)
}

// Author is the caller as kept with a change: the claimed name beside what is proven.
func (c Caller) Author() flag.Author {
	name := c.Proven()
	if c.Name != "" {
		name = fmt.Sprintf("%s (%s)", c.Name, name)
	}
	return flag.Author{Name: name, Reason: c.Reason}
}

func claim(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if r := []rune(s); len(r) > maxClaim {
		return string(r[:maxClaim])
	}
	return s
}
