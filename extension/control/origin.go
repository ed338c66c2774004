// This file keeps browsers' pages away from the operators' API: by the Host header (DNS rebinding)
// and by the Origin header (requests that another site's page makes).

package control

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

// hostList is the set of names, lower case, by which a TCP endpoint may be addressed beside loopback.
type hostList map[string]bool

func newHostList(names []string) hostList {
	l := make(hostList, len(names))
	for _, n := range names {
		l[strings.ToLower(n)] = true
	}
	return l
}

func (l hostList) allows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	return isLoopbackHost(host) || l[host]
}

// sameOrigin refuses requests of another origin's pages. A nil hosts is a unix socket's: there the
// Host header means nothing, and no browser has business.
func sameOrigin(next http.Handler, hosts hostList) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hosts != nil && !hosts.allows(r.Host) {
			door.WriteError(w, http.StatusMisdirectedRequest, door.Error{
				Code: "host_not_allowed", Message: "the Host header names no address of this server: use a loopback name, or add the name to allowed_hosts",
			})
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" && (hosts == nil || !isOrigin(origin, r.Host)) {
			door.WriteError(w, http.StatusForbidden, door.Error{
				Code: "origin_not_allowed", Message: "requests of pages from another origin are refused",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, host)
}
