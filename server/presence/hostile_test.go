package presence_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/server/presence"
	"github.com/pregon/pregon/transport"
)

// What a node has said before changes nothing when it comes again, nor does it bring a node back that
// has died or stopped.
func TestRepetitionsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e, ports := settled(t, 3)
		defer e[0].Close()
		join(t, e[1], "room", "ann")
		bob := join(t, e[2], "room", "bob")
		time.Sleep(time.Second)
		bob(false)
		time.Sleep(time.Second)
		check := func(what, want string) {
			t.Helper()
			b.mu.Lock()
			said := slices.Clone(b.said)
			b.mu.Unlock()
			for _, data := range said {
				ports[0].hear(data)
				synctest.Wait()
				wants(t, what, is(e[0], "room"), want)
			}
		}
		check("while it lives", "ann*1")
		defer e[1].Close()
		ports[1].cutLink(true)
		e[2].Close()
		time.Sleep(10 * time.Second)
		check("when it is dead", "")
		if n := e[0].Stats().Nodes; n != 1 {
			t.Error("nodes:", n)
		}
	})
}

// A node whose turn comes late gives up none of those that it has not heard meanwhile, and has its
// observers told that it does not know.
func TestLateTurnsGiveNobodyUp(t *testing.T) {
	for range 20 { // what comes first then is chance
		synctest.Test(t, func(t *testing.T) {
			_, e, ports := settled(t, 2)
			defer closeAll(e)
			join(t, e[1], "room", "ann")
			time.Sleep(time.Second)
			v, _ := watch(e[0], "room")
			once := false
			e[0].Observe("stalled", func(*presence.Event) {
				if once {
					return
				}
				once = true
				goOn := ports[0].stopped()
				time.Sleep(12 * time.Second)
				goOn()
			})
			time.Sleep(20 * time.Second)
			if got := v.take(); strings.Contains(got, "left") || strings.Contains(got, " 0 of 0") || !strings.HasSuffix(got, "members 1 of 1, more false, complete true") {
				t.Errorf("told %q", got)
			}
			wants(t, "then", is(e[0], "room"), "ann*1")
		})
	}
}

// One node more than there may be is not heard, and lists are not called complete while it is there.
func TestOneNodeTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e, _ := settled(t, 100)
		wants(t, "a hundred", is(e[0], "room"), "")
		more, _ := b.engine()
		join(t, more, "room", "ann")
		time.Sleep(5 * time.Second)
		wants(t, "one more", is(e[0], "room"), "?")
		if n := e[0].Stats().Nodes; n != 100 {
			t.Error("nodes:", n)
		}
		more.Close()
		time.Sleep(10 * time.Second)
		wants(t, "without it", is(e[0], "room"), "")
		closeAll(e)
	})
}

// FuzzMessages has anything come from the bus: nothing of it makes a node fail, forget its own members,
// or know somebody who cannot be; and what is read says the same when it is written.
func FuzzMessages(f *testing.F) {
	for _, text := range messages() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e := presence.New(presence.Options{Bus: nowhere{}, Logger: quiet})
		defer e.Close()
		join(t, e, "room", "own")
		e.Hear(data)
		own := false
		for _, m := range e.Members("room", transport.MembersQuery{}).Members {
			if err := presence.CheckMember(m); err != nil || m.Connections < 1 {
				t.Errorf("%q is a member %d times: %v", m.Subject, m.Connections, err)
			}
			own = own || m.Subject == "own"
		}
		if !own {
			t.Error("its own member is not there")
		}
		once, err := presence.Again(data)
		if err != nil {
			return
		}
		if twice, err := presence.Again(once); err != nil || !bytes.Equal(twice, once) {
			t.Errorf("%s is written as %s, and then as %s: %v", data, once, twice, err)
		}
	})
}

// nowhere is a bus without nodes.
type nowhere struct{}

func (nowhere) Publish(context.Context, []byte) error     { return nil }
func (nowhere) Listen(func([]byte), func()) (stop func()) { return func() {} }

// messages are such as nodes send, and some that they do not.
func messages() []string {
	digests := strings.Repeat("A", 682) + "g="
	return []string{
		`{"v":1,"from":"n","seq":1,"beat":{"digests":"` + digests + `"}}`,
		`{"v":1,"from":"n","seq":1,"beat":{"digests":"` + digests + `","config":"x","leaving":true}}`,
		`{"v":1,"from":"n","seq":1,"changes":[{"c":"room","s":"ann","i":{"a":1},"n":1,"t":5},{"c":"room","s":"own","n":2}]}`,
		`{"v":1,"from":"n","seq":18446744073709551615,"changes":[{"c":"room","s":"ann"}]}`,
		`{"v":1,"from":"n","seq":1,"ask":{"n":3,"x":18446744073709551615}}`,
		`{"v":1,"from":"n","seq":1,"part":{"bucket":38,"after":{"c":"","s":""},"until":{"c":"room","s":"b"},"members":[{"c":"room","s":"a","n":1}]}}`,
		`{"v":1,"from":"n","seq":1,"part":{"bucket":64,"after":{"c":"","s":""}}}`,
		`{"v":2,"from":"n","seq":1,"ask":{"n":1}}`,
		`{"v":1,"from":"n","seq":1,"changes":[{"c":"__a","s":"ann","n":1}]}`,
		`{"v":1,"from":"n","seq":1,"changes":[{"c":"room","s":"ann","n":-1}]}`,
		`{"v":1,"from":"n","seq":1,"changes":[{"c":"room","s":"\u0000","n":1}]}`,
		`{"v":1,"from":"n","seq":1,"changes":[{"c":"room","s":"ann","n":9223372036854775807}]}`,
		`{}`, `[]`, `null`, ``, `{"v":1}`, "\xff",
	}
}

// Each message that is not of its form is rejected as a whole, and counted.
func TestBadMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, e, ports := settled(t, 1)
		defer closeAll(e)
		good := `{"v":1,"from":"n","seq":%d,"changes":[{"c":"room","s":"ann","n":1}%s]%s}%s`
		bad := []string{
			`{"v":1,"from":"n","seq":1}`, `{"v":1,"from":"","seq":1,"ask":{"n":1}}`, `{"v":1,"from":"n","seq":0,"ask":{"n":1}}`,
			`{"v":1,"from":"n","seq":-1,"ask":{"n":1}}`, `{"v":1,"from":"` + strings.Repeat("n", 65) + `","seq":1,"ask":{"n":1}}`,
			`{"v":1,"from":"n","seq":1,"beat":{"digests":"AAAA"}}`, `{"v":1,"from":"a b","seq":1,"ask":{"n":1}}`,
			fmt.Sprintf(good, 1, `,{"c":"room","s":"bob","n":16777217}`, "", ""),
			fmt.Sprintf(good, 1, "", `,"ask":{"n":1}`, ""), fmt.Sprintf(good, 1, "", `,"x":1`, ""), fmt.Sprintf(good, 1, "", "", "{}"),
			fmt.Sprintf(good, 1, "", "", strings.Repeat(" ", 256<<10)),
			fmt.Sprintf(good, 1, `,{"c":"room","s":"bob","n":1,"i":"`+strings.Repeat("x", 1<<10)+`"}`, "", ""),
			fmt.Sprintf(good, 1, `,{"c":"a\n","s":"bob","n":1}`, "", ""),
			fmt.Sprintf(good, 1, `,{"c":"room","s":"`+strings.Repeat("x", 256)+`","n":1}`, "", ""),
			`{"v":1,"from":"n","seq":1,"part":{"bucket":0,"after":{"c":"","s":""},"members":[{"c":"room","s":"a","n":1}]}}`,
		}
		for _, text := range bad {
			ports[0].hear([]byte(text))
		}
		time.Sleep(time.Second)
		wants(t, "bad", is(e[0], "room"), "")
		if n := e[0].Stats().Rejected; n != uint64(len(bad)) {
			t.Errorf("%d of %d are rejected", n, len(bad))
		}
		ports[0].hear(fmt.Appendf(nil, good, 1, "", "", ""))
		time.Sleep(time.Second)
		wants(t, "good", is(e[0], "room"), "ann*1")
	})
}

// What is published comes out as it went in, whatever the texts are.
func TestTextsSurvive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, e, _ := settled(t, 2)
		defer closeAll(e)
		subjects := []string{"<b>&amp;", `"\`, "日本", "a b", "\u00e9", strings.Repeat("\U0001F600", 63), strings.Repeat(`"`, 255)}
		infos := []string{`null`, `"<&>\u2028\n"`, `{ "a" : [ 1e400 , -0 ] }`, "\"\u2028é\"", `[` + strings.Repeat(`[`, 500) + strings.Repeat(`]`, 500) + `]`}
		for i, subject := range subjects {
			channel := fmt.Sprint(subjects[rand.IntN(len(subjects)-1)], i)
			if _, err := e[0].Join(channel, transport.Member{Subject: subject, Info: json.RawMessage(infos[i%len(infos)])}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got, want := is(e[1], channel), is(e[0], channel); got != want || got == "" {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		time.Sleep(5 * time.Second)
		if got := is(e[1], "other"); got != "" || e[1].Stats().Rejected > 0 {
			t.Errorf("nodes do not agree: %q, %+v", got, e[1].Stats())
		}
	})
}
