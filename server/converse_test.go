package server_test

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/server"
)

// A page cannot see the status of a handshake: what HTTP answers with 401 or 403 is told behind a 101, then the connection
// is closed, for that reason. 401 comes first. A plain GET has the status.
func TestRefusedConversations(t *testing.T) {
	n := start(t, server.Options{Access: rules(t, true, true)})
	for _, c := range []struct {
		path, token  string
		code, status int
		reason       string
	}{
		{"/live", forgery, 4009, 401, "unauthorized"},
		{"/live/__a", forgery, 4009, 401, "unauthorized"},
		{"/live/__a", anaToken, 4100, 403, "channel_reserved"},
		{"/live?channel=room.1&channel=__a", anaToken, 4100, 403, "channel_reserved"},
	} {
		d := websocket.Dialer{HandshakeTimeout: patience, Subprotocols: []string{"pregon.v1", asProtocol(c.token)}}
		conn, _, err := d.Dial("ws://"+n.addr+c.path, nil)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if told := read(t, conn); !strings.HasPrefix(told, `{"type":"error","status":`) || !strings.Contains(told, `"code":"`+c.reason+`"`) {
			t.Errorf("%s: %s", c.path, told)
		}
		if _, err := readErr(conn); !websocket.IsCloseError(err, c.code) || !strings.HasSuffix(err.Error(), ": "+c.reason) {
			t.Errorf("%s: %v", c.path, err)
		}
		_ = conn.Close()
		plain := "GET " + c.path + " HTTP/1.1\r\nHost: " + n.addr + "\r\nAuthorization: Bearer " + c.token + "\r\n\r\n"
		if resp, body := n.raw(plain); resp.StatusCode != c.status {
			t.Errorf("%s: %d %s", c.path, resp.StatusCode, body)
		}
	}
}
