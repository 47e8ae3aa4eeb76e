package cmd

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/pregon/pregon/broker"
)

type brokersCommand struct{}

// Help is shown by pregon brokers --help.
func (brokersCommand) Help() string {
	return `Of each broker it says what its driver can do, with --history where it keeps one:

  NODES         how many servers can share it
  HISTORY       whether it can keep what was published
  OWN RULES     whether rules can say how much is kept of their channels
  DELETE        whether the history of a channel can be deleted
  OTHERS        what becomes of what other programs publish there, with a history
  DOCTOR        whether pregon doctor asks it for its settings

Nothing is contacted.`
}

// Run lists the URL schemes that --broker takes, and what their drivers can do.
func (brokersCommand) Run(ctx context.Context, out *console) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BROKER\tNODES\tHISTORY\tOWN RULES\tDELETE\tOTHERS\tDOCTOR\t")
	for _, scheme := range broker.Drivers() {
		fmt.Fprintln(table, strings.Join(append([]string{scheme + "://"}, abilities(ctx, scheme)...), "\t")+"\t")
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	for line := range strings.Lines(text.String()) {
		if _, err := io.WriteString(out.stdout, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

// abilities returns what the driver of a scheme can do, as its row of the table.
func abilities(ctx context.Context, scheme string) []string {
	b := example(ctx, scheme)
	if b == nil {
		return []string{"?", "?", "?", "?", "?", "?"}
	}
	defer func() { _ = b.Close() }() // nothing was done with it
	nodes := "many"
	_, embedded := b.(broker.Embedded)
	if embedded {
		nodes = "one"
	}
	_, doctor := b.(broker.Diagnoser)
	if _, keeps := broker.HistoryOf(b); !keeps {
		return []string{nodes, "no", "no", "no", "-", yes(doctor)}
	}
	_, own := b.(broker.Retainer)
	_, clears := b.(broker.Clearer)
	_, marks := b.(broker.Marker)
	others := "kept"
	switch {
	case embedded:
		others = "-" // there are none
	case marks:
		others = "heard"
	}
	return []string{nodes, "yes", yes(own), yes(clears), others, yes(doctor)}
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// example opens some broker of a scheme, with a history if that is possible. It returns nil where the
// driver needs more than that.
func example(ctx context.Context, scheme string) broker.Broker {
	for _, rest := range []string{"localhost?history=5m", "?history=5m", "/nowhere.sock?history=5m", "localhost", "", "/nowhere.sock"} {
		if b, err := broker.Open(ctx, scheme+"://"+rest); err == nil {
			return b
		}
	}
	return nil
}
