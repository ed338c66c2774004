// This file decides whose control attributes are honoured.
//
// Records that the foundation receiver of this process made are known by the caller that it leaves in the
// context (internal/door): no outside sender can put one there, and the receiver has applied the trust rules to
// what the caller sent. All others must be a configured peer.

package dedup

import (
	"context"
	"crypto/subtle"
	"net"
	"net/netip"
	"slices"

	"go.opentelemetry.io/collector/client"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

type trust struct {
	metadata map[string][]string
	auth     map[string][]string
	prefixes []netip.Prefix
}

func newTrust(cfg TrustConfig) (*trust, error) {
	t := &trust{auth: cfg.Auth, metadata: map[string][]string{}}
	for name, values := range cfg.Metadata {
		for _, v := range values {
			t.metadata[name] = append(t.metadata[name], string(v))
		}
	}
	for _, a := range cfg.Addresses {
		p, err := parsePrefix(a)
		if err != nil {
			return nil, err
		}
		t.prefixes = append(t.prefixes, p)
	}
	return t, nil
}

// of reports whether the sender of a request is trusted.
func (t *trust) of(ctx context.Context) bool {
	if _, local := door.CallerIn(ctx); local {
		return true
	}
	if len(t.metadata) == 0 && len(t.auth) == 0 && len(t.prefixes) == 0 {
		return false
	}
	info := client.FromContext(ctx)
	for name, trusted := range t.metadata {
		for _, v := range info.Metadata.Get(name) {
			if containsSecret(trusted, v) {
				return true
			}
		}
	}
	return t.authenticated(info.Auth) || t.near(info.Addr)
}

// containsSecret takes as long whatever the value is: what is compared may be a token.
func containsSecret(trusted []string, value string) (found bool) {
	for _, s := range trusted {
		found = subtle.ConstantTimeCompare([]byte(s), []byte(value)) == 1 || found
	}
	return found
}

func (t *trust) authenticated(data client.AuthData) bool {
	if data == nil {
		return false
	}
	for name, trusted := range t.auth {
		switch v := data.GetAttribute(name).(type) {
		case string:
			if slices.Contains(trusted, v) {
				return true
			}
		case []string:
			for _, one := range v {
				if slices.Contains(trusted, one) {
					return true
				}
			}
		}
	}
	return false
}

func (t *trust) near(addr net.Addr) bool {
	var ip netip.Addr
	switch a := addr.(type) {
	case *net.TCPAddr:
		ip = a.AddrPort().Addr()
	case *net.UDPAddr:
		ip = a.AddrPort().Addr()
	case *net.IPAddr:
		ip, _ = netip.AddrFromSlice(a.IP)
	}
	ip = ip.Unmap().WithZone("")
	return ip.IsValid() && slices.ContainsFunc(t.prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}
