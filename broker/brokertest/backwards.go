package brokertest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pregon/pregon/broker"
)

func testHistoryBackwards(f *fixture) {
	p := f.past()
	var texts []string
	for i := range 40 {
		texts = append(texts, fmt.Sprint(i))
		p.keep("small", texts[i])
	}
	for _, limit := range []int{1, 7, len(texts), len(texts) + 1} {
		if got := p.back("small", limit); !slices.Equal(got, texts) {
			f.Fatalf("from the newest of %d messages back, %d at a time: %s", len(texts), limit, brief(got))
		}
	}
	texts = nil
	for i := range 5 { // more than one page
		texts = append(texts, strings.Repeat(fmt.Sprint(i), 400_000))
		p.keep("large", texts[i])
	}
	if got := p.back("large", 100); !slices.Equal(got, texts) {
		f.Fatalf("from the newest of 5 large messages back there are %d", len(got))
	}
	for n := 1; n <= 6; n++ {
		want := texts[max(0, len(texts)-n):]
		page, err := broker.LastPage(n, func(q broker.Query) (broker.Page, error) { return p.query("large", q), nil })
		if err != nil || len(page.Messages) == 0 {
			f.Fatalf("the page with which the newest %d of 5 large messages begin: %d messages, %v", n, len(page.Messages), err)
		}
		got := textsOf(page)
		got = append(got, p.rest("large", page.Messages[len(page.Messages)-1].Position, 100)...)
		if !slices.Equal(got, want) {
			f.Fatalf("the newest %d of 5 large messages are %d", n, len(got))
		}
		if others := len(page.Messages) < len(texts); page.More != others {
			f.Fatalf("a page of %d of 5 messages says that there are others: %v", len(page.Messages), page.More)
		}
	}
	past := p.query("small", broker.Query{Before: broker.Position{Epoch: 1}, Limit: 1})
	if len(past.Messages) > 0 || past.More {
		f.Fatalf("before all epochs there are %d messages, more %v", len(past.Messages), past.More)
	}
}

// back reads from the newest message to the oldest, limit at a time.
func (p past) back(channel string, limit int) []string {
	p.Helper()
	var texts []string
	for before := (broker.Position{}); ; {
		page := p.query(channel, broker.Query{Before: before, Limit: limit})
		texts = append(textsOf(page), texts...)
		if !page.More {
			return texts
		}
		if len(page.Messages) == 0 {
			p.Fatalf("a page without messages says that there are older ones")
		}
		if first := page.Messages[0].Position; !before.IsZero() && first.Compare(before) >= 0 {
			p.Fatalf("before %v comes %v", before, first)
		}
		before = page.Messages[0].Position
	}
}

func textsOf(page broker.Page) []string {
	texts := make([]string, 0, len(page.Messages))
	for _, m := range page.Messages {
		texts = append(texts, string(m.Data))
	}
	return texts
}
