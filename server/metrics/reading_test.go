package metrics_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/server/metrics"
)

// What is shown can be read: the values of a label that are not 0, and their sum.
func TestFiguresAreRead(t *testing.T) {
	read, err := metrics.Read(bytes.NewReader(scrape(fresh())), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if ready, ok := read.Value("pregon_ready"); ready != 1 || !ok {
		t.Errorf("ready: %v, %v", ready, ok)
	}
	if sum, ok := read.Value("pregon_publishes_total"); sum != 7 || !ok {
		t.Errorf("publications: %v, %v", sum, ok)
	}
	if _, ok := read.Value("pregon_nothing"); ok {
		t.Error("there is a figure that there is not")
	}
	if diff := cmp.Diff(map[string]float64{"published": 7}, read.By("pregon_publishes_total", "outcome")); diff != "" {
		t.Error(diff)
	}
}

// What is no list of figures, or was cut, is an error.
func TestWhatIsReadHasAForm(t *testing.T) {
	for name, text := range map[string]string{"a page": "<html></html>", "cut in a name": "a 1\npregon_re", "cut in a label": `a{b="`} {
		if _, err := metrics.Read(strings.NewReader(text), 1<<20); err == nil {
			t.Errorf("%s is read", name)
		}
	}
	if _, err := metrics.Read(bytes.NewReader(scrape(fresh())), 100); err == nil {
		t.Error("more is read than may be")
	}
}
