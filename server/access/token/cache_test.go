package token_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/server/access/token/tokentest"
)

// A token that is known again is judged as if it were not: by its dates, and by the Verifier that is asked;
// and so is one that many others came after.
func TestTokenAgain(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	v := newVerifier(t, now, kit.Issuers()...)
	first := kit.HS256(kit.Claims())
	want, err := v.Verify(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2200 {
		sub := fmt.Sprint("u", i)
		raw := kit.HS256(kit.Claims().With("sub", tokentest.Text(sub)))
		for range 2 {
			if c, err := v.Verify(t.Context(), raw); err != nil || c.Subject != sub {
				t.Fatal(sub, c.Subject, err)
			}
		}
		if got, err := v.Verify(t.Context(), first); err != nil || !cmp.Equal(got, want) {
			t.Fatal(i, got, err)
		}
	}
	refused(t, v, first[:len(first)-3], "wrong signature")
	refused(t, v, first+"A", "wrong signature")
	refused(t, newVerifier(t, now), first, "no issuer has such a key")
}

// A token that is used all the time is not verified again, however many others come.
func TestTokenInUseIsKnown(t *testing.T) {
	kit := tokentest.NewKit(now)
	v := newVerifier(t, now, kit.Issuers()...)
	used := kit.HS256(kit.Claims())
	verify := func(raw string) {
		if _, err := v.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2200 {
		verify(used)
		verify(kit.HS256(kit.Claims().With("sub", tokentest.Text(fmt.Sprint("u", i)))))
	}
	if n := testing.AllocsPerRun(1, func() { verify(used) }); n > 5 { // to read one takes more than 50
		t.Errorf("%v allocations", n)
	}
}

// What is known of tokens does not grow with their number.
func TestMemoryIsBounded(t *testing.T) {
	kit := tokentest.NewKit(now)
	v := newVerifier(t, now, kit.Issuers()...)
	verify := func(from, to int) (heap uint64) {
		for i := from; i < to; i++ {
			info := fmt.Sprintf(`{"info":"%d %s"}`, i, strings.Repeat("a", 1000))
			if _, err := v.Verify(t.Context(), kit.HS256(kit.Claims().With("pregon", info))); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	full := verify(0, 2500)
	if more := verify(2500, 10000); more > full+3<<20 {
		t.Errorf("%d KiB after 2,500 tokens, %d KiB after 10,000", full>>10, more>>10)
	}
	runtime.KeepAlive(v)
}

// A token that is known again, and one of so many that none is.
func BenchmarkVerify(b *testing.B) {
	kit := tokentest.NewKit(now)
	for alg, sign := range map[string]func(tokentest.Object) string{"HS256": kit.HS256, "RS256": kit.RS256} {
		for _, many := range []int{1, 3000} {
			raw := make([]string, many)
			for i := range raw {
				raw[i] = sign(kit.Claims().With("sub", tokentest.Text(fmt.Sprint(i))))
			}
			v, i := newVerifier(b, now, kit.Issuers()...), 0
			b.Run(fmt.Sprint(alg, " of ", many), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := v.Verify(b.Context(), raw[i%many]); err != nil {
						b.Fatal(err)
					}
					i++
				}
			})
		}
	}
}
