package seal_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/seal"
)

// sealed is an envelope as the publishing script makes it.
func sealed(secret, id, topic, fields string) string {
	sum := sha1.Sum([]byte(fmt.Sprintf("%s%s %d %s%s%s", secret, id, len(topic), topic, fields, secret)))
	tag := hex.EncodeToString(sum[:])
	return "\xFFpg1p" + string(rune(len(id))) + id + "t" + string(rune(len(tag))) + tag + fields
}

func knowing(secrets ...string) *seal.Unsealer {
	s := &seal.Secrets{Changed: func() {}}
	for _, secret := range slices.Backward(secrets) {
		s.Learn(secret)
	}
	return seal.NewUnsealer(s)
}

// What is sealed with a known secret, the newest or an older one, is believed: its
// position, and its fields.
func TestUnseal(t *testing.T) {
	for _, known := range [][]string{{"new"}, {"new", "old"}, {"newest", "new", "old"}} {
		u := knowing(known...)
		for _, secret := range known {
			s, claims, ok := u.Unseal("app:chat", sealed(secret, "17-4", "app:chat", "dhello"))
			if !claims || !ok || s.Position != (broker.Position{Epoch: 17, Seq: 4}) || string(s.Fields) != "dhello" {
				t.Errorf("secret %q of %q: %+v, claims %v, ok %v", secret, known, s, claims, ok)
			}
		}
	}
}

// A message without a position is no claim: it may be any program's.
func TestUnsealNoClaim(t *testing.T) {
	u := knowing("secret")
	for _, wire := range []string{"", "hello", "\xFF", "\xFFpg1", "\xFFpg1dhello", "\xFFpg2p", sealed("secret", "1-1", "chat", "d")[1:]} {
		if s, claims, ok := u.Unseal("chat", wire); claims || ok || !s.Position.IsZero() {
			t.Errorf("%q: %+v, claims %v, ok %v", wire, s, claims, ok)
		}
	}
}

// No bit of an envelope, and no other topic, can be changed without its seal being
// broken: such a claim is not believed.
func TestUnsealForged(t *testing.T) {
	u := knowing("secret", "older")
	good := sealed("secret", "17-4", "chat", "dhello")
	forged := []string{
		sealed("guess", "17-4", "chat", "dhello"),
		sealed("", "17-4", "chat", "dhello"),
		good + "!",
		strings.Replace(good, "17-4", "17-5", 1),
		"\xFFpg1p\x0417-4dhello",
	}
	const begin = len("\xFFpg1p")
	for i := begin; i < len(good); i++ {
		for bit := range 8 {
			wire := []byte(good)
			wire[i] ^= 1 << bit
			forged = append(forged, string(wire))
		}
		forged = append(forged, good[:i])
	}
	for _, wire := range forged {
		if s, claims, ok := u.Unseal("chat", wire); !claims || ok || !s.Position.IsZero() {
			t.Errorf("%q: %+v, claims %v, ok %v", wire, s, claims, ok)
		}
	}
	for _, topic := range []string{"", "cha", "chatd", "app:chat"} {
		if _, _, ok := u.Unseal(topic, good); ok {
			t.Errorf("it is believed in %q", topic)
		}
	}
}

// Where the topic ends is a part of the proof: what is moved from it to the message, or
// back, is not believed.
func TestUnsealMovedBoundary(t *testing.T) {
	u := knowing("secret")
	wire := sealed("secret", "1-1", "chat", "dhello")
	if _, _, ok := u.Unseal("chatd", strings.TrimSuffix(wire, "dhello")+"hello"); ok {
		t.Error("a byte moved from the message to the topic")
	}
}

// Without a secret nothing is believed, not even what is sealed with none.
func TestUnsealKnowingNothing(t *testing.T) {
	if _, claims, ok := knowing().Unseal("chat", sealed("", "1-1", "chat", "d")); !claims || ok {
		t.Errorf("claims %v, ok %v", claims, ok)
	}
}

// Secrets are remembered newest first, each once, and a bounded number of them. Only a
// new one that replaces another is a change.
func TestSecrets(t *testing.T) {
	changes := 0
	s := &seal.Secrets{Changed: func() { changes++ }}
	for _, step := range []struct {
		learn   string
		known   string
		changes int
	}{
		{"a", "a", 0},
		{"a", "a", 0},
		{"b", "b a", 1},
		{"a", "a b", 2},
		{"c", "c a b", 3},
		{"d", "d c a b", 4},
		{"e", "e d c a", 5},
	} {
		s.Learn(step.learn)
		if known := strings.Join(s.Known(), " "); known != step.known || changes != step.changes {
			t.Errorf("after %s: known %q, %d changes; want %q, %d", step.learn, known, changes, step.known, step.changes)
		}
	}
}

// A node proposes the secret that it knows, and where it knows none one that nobody can
// guess.
func TestPropose(t *testing.T) {
	var s seal.Secrets
	first, second := s.Propose(), s.Propose()
	if first == second || len(first) < 26 || len(s.Known()) > 0 {
		t.Errorf("proposed %q and %q", first, second)
	}
	s.Learn("known")
	if got := s.Propose(); got != "known" {
		t.Errorf("proposed %q", got)
	}
}

// Learning while others check what they hear neither races nor loses a secret.
func TestSecretsConcurrently(t *testing.T) {
	s := &seal.Secrets{Changed: func() {}}
	s.Learn("a")
	wire := sealed("a", "1-1", "chat", "d")
	var all sync.WaitGroup
	for _, secret := range []string{"b", "c"} {
		all.Go(func() { s.Learn(secret) })
	}
	for range 4 {
		all.Go(func() {
			u := seal.NewUnsealer(s)
			for range 100 {
				if _, _, ok := u.Unseal("chat", wire); !ok {
					t.Error("a secret was forgotten")
					return
				}
			}
		})
	}
	all.Wait()
	if len(s.Known()) != 3 {
		t.Errorf("known are %q", s.Known())
	}
}

// Heartbeats and the like are no witnesses of what must not be lost.
func TestTestifies(t *testing.T) {
	for channel, want := range map[string]bool{"chat": true, "_chat": true, "a__b": true, "__pregon:beat": false, "__": false} {
		if seal.Testifies(channel) != want {
			t.Errorf("%q: %v", channel, !want)
		}
	}
}
