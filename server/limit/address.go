package limit

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// A Prefix is a network.
type Prefix = netip.Prefix

// networkBits is how much of an IPv6 address is its network: what a customer of a provider
// is given at least (RFC 6177).
const networkBits = 64

// Network returns what an address is counted under: itself, and for IPv6 its /64. It is the
// zero Prefix for the zero Addr.
func Network(a netip.Addr) Prefix {
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return Prefix{}
	case a.Is4():
		return netip.PrefixFrom(a, a.BitLen())
	}
	p, _ := a.Prefix(networkBits) // there are as many
	return p
}

// maxHops is how many entries of X-Forwarded-For are looked at.
const maxHops = 32

// AddressOf returns the address of the caller that made r: the peer's or, where that is one
// of trusted, the rightmost one of X-Forwarded-For that is not. What stands left of it the
// caller itself may have written. Where an entry is no address, it is the one to the right of
// it: that one said so. It is the zero Addr where the peer has no IP address.
func AddressOf(r *http.Request, trusted []Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := peer.Addr().Unmap().WithZone("")
	if !Contains(trusted, address) {
		return address
	}
	hops := 0
	for _, line := range slices.Backward(r.Header.Values("X-Forwarded-For")) {
		for entry := range backwards(line) {
			next, ok := parseHop(entry)
			if hops++; !ok || hops > maxHops {
				return address
			}
			if address = next; !Contains(trusted, address) {
				return address
			}
		}
	}
	return address
}

// backwards yields the elements of a list that is separated by commas, the last one first.
func backwards(list string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			i := strings.LastIndexByte(list, ',')
			if !yield(strings.TrimSpace(list[i+1:])) || i < 0 {
				return
			}
			list = list[:i]
		}
	}
}

// parseHop reads an address as proxies write it, some with a port.
func parseHop(entry string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.Trim(entry, "[]"))
	if err != nil {
		with, wrong := netip.ParseAddrPort(entry)
		a, err = with.Addr(), wrong
	}
	return a.Unmap().WithZone(""), err == nil
}

// Contains reports whether an address is in one of networks.
func Contains(networks []Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(p Prefix) bool { return p.Contains(a) })
}
