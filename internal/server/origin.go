package server

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// loopbackHost reports whether the host, without a port, names this machine.
func loopbackHost(host string) bool {
	switch host {
	case "127.0.0.1", "localhost", "::1":
		return true
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// hostName cuts the port and the brackets from a Host header.
func hostName(host string) string {
	if rest, ok := strings.CutPrefix(host, "["); ok {
		name, port, ok := strings.Cut(rest, "]")
		if !ok || port != "" && port[0] != ':' {
			return ""
		}
		return name
	}
	name, _, _ := strings.Cut(host, ":")
	return name
}

// checkOrigin refuses what a browser sends for a page of somebody else: a
// request under a foreign name that was made to point here (DNS rebinding), and
// a post from another site.
func (s *Server) checkOrigin(r *http.Request) error {
	if !loopbackHost(hostName(r.Host)) {
		return &audit.Error{Code: audit.CodeForbidden, Field: "Host", Message: "is not a name of this machine: use 127.0.0.1 or localhost"}
	}
	if err := s.origin.Check(r); err != nil {
		return &audit.Error{Code: audit.CodeForbidden, Field: "Origin", Message: "a page of another site may not send this"}
	}
	return nil
}
