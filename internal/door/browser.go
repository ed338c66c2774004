package door

import (
	"net"
	"net/http"
	"strings"
)

// KeepBrowsersOut wraps the handlers of a TCP listener so that a page in a browser on this host cannot use
// them: a request that a page of another origin makes is refused (http.CrossOriginProtection), unless its
// origin is trusted, and so is one whose Host is a name that someone may have pointed at this address
// (DNS rebinding). IP addresses, localhost and the host of endpoint itself are fine; an endpoint that is not
// on loopback is reached by names that we do not know, so any is.
func KeepBrowsersOut(next http.Handler, endpoint string, trustedOrigins []string) (http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	for _, origin := range trustedOrigins {
		if origin == "*" {
			protection.AddInsecureBypassPattern("/")
		} else if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		WriteError(w, http.StatusForbidden, Error{Code: "cross_origin",
			Message: "pages of other origins may not call this; list the origin under cors::allowed_origins to let it"})
	}))
	own := hostOf(endpoint)
	if !isLoopback(own) {
		return protection.Handler(next), nil
	}
	return protection.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := hostOf(r.Host); host != own && !isAddress(host) {
			WriteError(w, http.StatusForbidden, Error{Code: "unknown_host",
				Message: "this door is on loopback: call it as localhost or by its IP address"})
			return
		}
		next.ServeHTTP(w, r)
	})), nil
}

func hostOf(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport // no port
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// isAddress says that host cannot be a name that someone else's DNS answers for.
func isAddress(host string) bool { return host == "localhost" || net.ParseIP(host) != nil }
