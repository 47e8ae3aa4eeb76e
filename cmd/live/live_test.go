package live_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/pregon/pregon/cmd/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial connects to a server whose side is then what serve does.
func dial(t *testing.T, o live.Options, serve func(*websocket.Conn, *http.Request)) *live.Conn {
	t.Helper()
	upgrader := websocket.Upgrader{Subprotocols: []string{"pregon.v1"}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error("upgrade:", err)
			return
		}
		defer ws.Close()
		serve(ws, r)
	}))
	t.Cleanup(s.Close)
	conn, _, err := live.Dial(t.Context(), s.URL+"/live", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A client must not come back after the codes of which the protocol says so, and may after all others.
func TestClosed(t *testing.T) {
	for code, final := range map[int]bool{
		1000: false, 1001: false, 1002: true, 1003: true, 1007: true, 1008: true, 1009: true, 1011: false, 1012: false, 1013: false,
		4000: false, 4009: false, 4099: false, 4100: true, 4199: true, 4200: false,
	} {
		conn := dial(t, live.Options{}, func(ws *websocket.Conn, _ *http.Request) {
			_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, "why"), time.Now().Add(time.Minute))
			_, _, _ = ws.ReadMessage() // until the client has closed, too
		})
		_, err := conn.Read()
		closed, ok := errors.AsType[*live.Closed](err)
		if !ok || closed.Code != code || closed.Reason != "why" || closed.Final() != final {
			t.Errorf("%d: %v, final: %v", code, err, !final)
		}
	}
}

// The credential goes in a header, frames go both ways as they are, and a binary one is not taken for text.
func TestFrames(t *testing.T) {
	conn := dial(t, live.Options{Credential: "k"}, func(ws *websocket.Conn, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer k" || ws.Subprotocol() != "pregon.v1" {
			t.Errorf("the credential is %q, the subprotocol %q", got, ws.Subprotocol())
		}
		if _, text, err := ws.ReadMessage(); err != nil || string(text) != `{"a":"<&>"}` {
			t.Errorf("heard %q, %v", text, err)
		}
		_ = ws.WriteMessage(websocket.TextMessage, []byte("text"))
		_ = ws.WriteMessage(websocket.BinaryMessage, []byte("text"))
		_, _, _ = ws.ReadMessage()
	})
	if err := conn.Write(map[string]string{"a": "<&>"}); err != nil {
		t.Error(err)
	}
	if text, err := conn.Read(); err != nil || string(text) != "text" {
		t.Errorf("read %q, %v", text, err)
	}
	if text, err := conn.Read(); err == nil {
		t.Errorf("read %q", text)
	}
}

// A server of which nothing has come for too long is given up; one that is lost is not said to have closed.
func TestSilence(t *testing.T) {
	over := make(chan struct{})
	conn := dial(t, live.Options{}, func(*websocket.Conn, *http.Request) { <-over })
	conn.Expect(time.Millisecond)
	if _, err := conn.Read(); !errors.Is(err, live.ErrSilent) {
		t.Error(err)
	}
	close(over)
	lost := dial(t, live.Options{}, func(ws *websocket.Conn, _ *http.Request) { _ = ws.NetConn().Close() })
	_, err := lost.Read()
	if _, closed := errors.AsType[*live.Closed](err); err == nil || closed {
		t.Error(err)
	}
}

// An answer that is no WebSocket is returned as it is.
func TestNotSwitched(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	conn, resp, err := live.Dial(t.Context(), s.URL, live.Options{})
	if conn != nil || err == nil || resp == nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("%v, %v, %v", conn, resp, err)
	}
}
