package socket_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"

	"github.com/pregon/pregon/transport/socket"
)

// Where a peer reads too slowly for batches that may be dropped, it gets the
// newest, and in every hole of a channel that channel's gap: nothing is missing
// in silence, twice, out of order or cut, and the count of what was dropped is
// exact. The gap stands on its side of frames that may not be dropped, such as a
// gap of another reason.
func TestEveryHoleIsTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := socket.NewGroup(socket.Limits{Bytes: rapid.IntRange(1<<10, 64<<10).Draw(t, "bytes"),
			Messages: rapid.IntRange(2, 100).Draw(t, "messages"), WriteTimeout: limits.WriteTimeout, Linger: limits.Linger})
		s, peer := pair(t, g, rapid.SampledFrom(paths).Draw(t, "path"))
		defer g.Wait()
		defer s.Close()
		defer peer.Close()
		s.Uncork()
		channels := rapid.SliceOfN(rapid.SampledFrom([]byte("ab")), 1, 300).Draw(t, "channels")
		size := rapid.IntRange(0, 5_000).Draw(t, "size")
		reads, received := make(chan int, len(channels)), make(chan []byte, 1)
		go func() { received <- readSlowly(peer, reads) }()
		gaps := map[byte][]byte{'a': frame('A', 0, 0), 'b': frame('B', 0, 0)}
		sent, dropped := map[byte]int{}, 0
		var w socket.Writer
		for _, c := range channels {
			if rapid.IntRange(0, 9).Draw(t, "kept frame") == 0 {
				// X has the number of the first message behind it.
				_, err := s.Send(&w, socket.Batch{Frames: frame(c-'a'+'x', sent[c], 0)})
				if err != nil && err != socket.ErrSlow {
					t.Fatal("send:", err)
				}
			}
			n, err := s.Send(&w, socket.Batch{Frames: frame(c, sent[c], size), Messages: 1, DropNotice: gaps[c]})
			if err != nil {
				t.Fatal("send:", err)
			}
			sent[c]++
			dropped += n
			if reading := rapid.IntRange(-8_000, 8_000).Draw(t, "read"); reading > 0 {
				reads <- reading
			}
		}
		s.CloseAfterFlush(frame('e', 0, 0))
		close(reads)
		missing := 0
		next, told := map[byte]int{}, map[byte]bool{}
		for _, f := range parse(t, <-received) {
			switch f.kind {
			case 'A', 'B':
				told[f.kind-'A'+'a'] = true
			case 'x', 'y':
				c := f.kind - 'x' + 'a'
				if next[c] < f.number && !told[c] {
					t.Fatalf("%c%d to %d are missing before a frame that was kept, and no gap is there", c, next[c], f.number-1)
				}
				missing += f.number - next[c]
				next[c], told[c] = f.number, false
			case 'a', 'b':
				if f.number < next[f.kind] || f.number > next[f.kind] && !told[f.kind] {
					t.Fatalf("%c%d came where %d was due, gap told: %v", f.kind, f.number, next[f.kind], told[f.kind])
				}
				missing += f.number - next[f.kind]
				next[f.kind], told[f.kind] = f.number+1, false
			}
		}
		if newest := channels[len(channels)-1]; next[newest] < sent[newest] {
			t.Fatalf("the newest of all, %c%d, is missing", newest, sent[newest]-1)
		}
		for c, n := range sent {
			if next[c] < n && !told[c] {
				t.Fatalf("the last %d of %c are missing in silence", n-next[c], c)
			}
			missing += n - next[c]
		}
		if missing != dropped {
			t.Fatalf("%d are missing, %d were counted", missing, dropped)
		}
	})
}

// The newest stays, though it is nearly all that may wait, and a write of as much is
// under way.
func TestTheNewestStays(t *testing.T) {
	const size = 60_000
	g := socket.NewGroup(socket.Limits{Bytes: 64 << 10, Messages: 100, WriteTimeout: limits.WriteTimeout, Linger: limits.Linger})
	s, peer := pair(t, g, direct)
	defer g.Wait()
	defer s.Close()
	defer peer.Close()
	s.Uncork()
	var w socket.Writer
	const sent = 50
	for i := range sent {
		if _, err := s.Send(&w, socket.Batch{Frames: frame('a', i, size), Messages: 1, DropNotice: frame('A', 0, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	s.CloseAfterFlush(nil)
	received := readAll(peer, 1<<16)
	if newest := frame('a', sent-1, size); !bytes.HasSuffix(received, newest) {
		t.Errorf("%d bytes arrived, and the newest message is not the last", len(received))
	}
}

// An empty Gap says nothing: such a Batch is not dropped.
func TestEmptyGap(t *testing.T) {
	g := socket.NewGroup(socket.Limits{Bytes: 1 << 10, Messages: 100, WriteTimeout: limits.WriteTimeout, Linger: limits.Linger})
	s := g.New() // which keeps what it is sent
	var w socket.Writer
	send := func() error {
		dropped, err := s.Send(&w, socket.Batch{Frames: frame('a', 0, 600), Messages: 1, DropNotice: []byte{}})
		if dropped > 0 {
			t.Error("something was dropped")
		}
		return err
	}
	if err := send(); err != nil {
		t.Fatal(err)
	}
	if err := send(); !errors.Is(err, socket.ErrSlow) {
		t.Error("the second was answered with", err)
	}
	_ = s.Close()
	g.Wait()
}

// readSlowly reads once for each size, and to the end when there are no more.
func readSlowly(r io.Reader, sizes <-chan int) (all []byte) {
	for size := range sizes {
		buf := make([]byte, size)
		n, _ := r.Read(buf)
		all = append(all, buf[:n]...)
	}
	return append(all, readAll(r, 1<<16)...)
}
