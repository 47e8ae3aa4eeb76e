package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/pregon/pregon/transport"
)

type membersCommand struct {
	Channel string      `arg:"" help:"Channel of which to list the members."`
	JSON    bool        `name:"json" env:"-" help:"Print one JSON object."`
	URL     address     `name:"url" default:"http://localhost:8000" placeholder:"URL" help:"Address of the server. Default ${default}."`
	Client  clientFlags `embed:""`
}

// Help is shown by pregon members --help.
func (membersCommand) Help() string {
	return `A member is a subject, whose token or name a client has brought, with the number of its connections and what it shows of itself. The exit code is 0 for an empty list, too.

pregon sub CHANNEL --members tells who comes and leaves.`
}

// A membersList is who is in a channel, as the server tells it, in pages or all together.
type membersList struct {
	Channel  string             `json:"channel"`
	Count    int                `json:"count"`
	Members  []transport.Member `json:"members"`
	More     bool               `json:"more,omitempty"`
	Complete *bool              `json:"complete,omitempty"` // only where it is false
}

// Run prints who is in a channel.
func (c *membersCommand) Run(ctx context.Context, out *console) error {
	client, err := c.Client.caller(c.URL)
	if err != nil {
		return err
	}
	defer client.close()
	client.client.Timeout = time.Minute
	all, err := c.all(ctx, client)
	if err != nil {
		return err
	}
	if c.JSON {
		text := json.NewEncoder(out.stdout)
		text.SetEscapeHTML(false)
		err = text.Encode(all)
	} else {
		err = all.print(out)
	}
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// all returns the pages as one list.
func (c *membersCommand) all(ctx context.Context, client *caller) (membersList, error) {
	all := membersList{Members: []transport.Member{}}
	for after := ""; ; {
		page, err := c.page(ctx, client, after)
		if err != nil {
			return all, fmt.Errorf("members: %w", err)
		}
		all.Channel, all.Count = page.Channel, page.Count
		all.Members = append(all.Members, page.Members...)
		if page.Complete != nil && !*page.Complete {
			all.Complete = page.Complete
		}
		if !page.More || len(page.Members) == 0 || page.Members[len(page.Members)-1].Subject <= after {
			return all, nil
		}
		after = page.Members[len(page.Members)-1].Subject
	}
}

// page returns the members behind a subject, or the first ones where that is empty.
func (c *membersCommand) page(ctx context.Context, client *caller, after string) (membersList, error) {
	target := string(c.URL) + "/presence/" + url.PathEscape(c.Channel)
	if after != "" {
		target += "?after=" + url.QueryEscape(after)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return membersList{}, err
	}
	resp, err := client.do(req)
	if err != nil {
		return membersList{}, client.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return membersList{}, client.hint(answerError(resp))
	}
	var page membersList
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || page.Channel != c.Channel {
		return membersList{}, errors.New("the answer is no list of members: is --url the address of a pregon?")
	}
	return page, nil
}

// print prints a table for people, and beside it what is not certain of it.
func (l membersList) print(out *console) error {
	table := tabwriter.NewWriter(out.stdout, 0, 8, 2, ' ', 0)
	if len(l.Members) > 0 {
		fmt.Fprintln(table, "SUBJECT\tCONNECTIONS\tINFO")
	}
	for _, m := range l.Members {
		fmt.Fprintf(table, "%s\t%d\t%s\n", visible(m.Subject), m.Connections, visible(string(m.Info)))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	switch {
	case l.Count == 0:
		fmt.Fprintln(out.stderr, "pregon: nobody is there")
	case l.Count != len(l.Members):
		fmt.Fprintf(out.stderr, "pregon: some have come or left meanwhile: %d are there now\n", l.Count)
	}
	if l.Complete != nil {
		fmt.Fprintln(out.stderr, "pregon: some node has not said yet who is there: others may be missing")
	}
	return nil
}
