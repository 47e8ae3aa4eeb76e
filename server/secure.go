package server

import (
	"crypto/tls"
	"net"

	"github.com/pregon/pregon/transport/socket"
)

// Secure returns a listener that serves TLS on what l accepts, for a Server or an http.Server. It takes the place of
// tls.NewListener and of http.Server.ServeTLS, which serve the same, but at the price of a goroutine for each message to
// each client: what these make keeps its descriptor to itself.
//
// It owns l from then on. It sets DynamicRecordSizingDisabled of config, so that records of TLS are filled from the start: what
// is sent is either short or a part of much more. So config is not in use yet, and is not changed afterwards.
func Secure(l net.Listener, config *tls.Config) net.Listener {
	config.DynamicRecordSizingDisabled = true
	return &secure{l, config}
}

type secure struct {
	net.Listener
	config *tls.Config
}

// Accept implements net.Listener. The handshake is made by the first that reads or writes. An error is l's
// own, as net/http does not look behind it for whether to try again.
func (s *secure) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return socket.Secure(conn, s.config), nil
}
