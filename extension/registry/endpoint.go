// This file decides which endpoint an agent may announce.

package registry

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/foundation-agent/foundation-agent/internal/proc"
)

// checkEndpoint returns the endpoint as others may connect to it. It must be the caller's own address: a
// local caller's is loopback, if it shares our network; over TCP it is the address that it calls from.
// So nobody can register another service to have it scraped.
func (r *registry) checkEndpoint(c caller, endpoint string) (string, error) {
	if endpoint == "" {
		return "", nil
	}
	refused := func(format string, args ...any) (string, error) {
		return "", refuse(http.StatusUnprocessableEntity, outcomeRefused, "endpoint_not_allowed", "endpoint "+strconv.Quote(endpoint)+": "+format, args...)
	}
	host, portText, err := net.SplitHostPort(endpoint)
	if err != nil {
		return refused("host:port is expected")
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || !r.portAllowed(uint16(port)) {
		return refused("port %s is not allowed; these are: %s (endpoint::allowed_ports)", portText, strings.Join(r.cfg.Endpoint.AllowedPorts, ", "))
	}
	var addr netip.Addr
	switch host {
	case "":
		if addr = c.addr; !addr.IsValid() {
			addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
	case "localhost":
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		if addr, err = netip.ParseAddr(host); err != nil {
			return refused("the host is an IP address or localhost: names may change what they stand for")
		}
		addr = addr.Unmap()
	}
	switch {
	case c.addr.IsValid() && addr != c.addr && (!addr.IsLoopback() || !c.addr.IsLoopback()):
		return refused("it is not the address that you call from (%s)", c.addr)
	case !c.addr.IsValid() && !addr.IsLoopback():
		return refused("a caller on the unix socket announces a loopback address; register over TCP from another one")
	case c.Local && !c.operator && !proc.SharesNetwork(c.Peer.PID):
		return refused("your loopback is not this agent's (another network namespace); register over TCP")
	}
	return netip.AddrPortFrom(addr, uint16(port)).String(), nil
}

func (r *registry) portAllowed(port uint16) bool {
	for _, p := range r.ports {
		if port >= p.from && port <= p.to {
			return true
		}
	}
	return false
}
