package server

import (
	"net/http"
	"net/url"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/transport"
)

// maxAfter is the most bytes of a subject that a page is to begin behind: no subject is longer.
const maxAfter = 255

// members answers GET /presence/{channel}, with what the json format has for its clients.
func (s *Server) members(w http.ResponseWriter, r *http.Request) error {
	channel, err := pathChannel(r, "/presence/")
	if err != nil {
		return err
	}
	asked, err := membersQuery(r)
	if err != nil {
		return err
	}
	client, err := s.permitted(r, access.Subscribe, channel)
	if err != nil {
		return err
	}
	page, err := client.Members(r.Context(), channel, asked)
	if err != nil {
		return err
	}
	format, _ := transport.FormatByName("json")
	answer, _ := format.AppendMembers(nil, page)
	return s.answers.write(w, r, append(answer, '\n'))
}

// membersQuery returns what r asks for with ?after= and ?limit=.
func membersQuery(r *http.Request) (transport.MembersQuery, error) {
	query, err := parseQuery(r)
	if err != nil {
		return transport.MembersQuery{}, err
	}
	if err := checkParameters(query, []string{"after", "limit"}); err != nil {
		return transport.MembersQuery{}, err
	}
	return parseMembersQuery(query)
}

func parseMembersQuery(query url.Values) (asked transport.MembersQuery, err error) {
	if after := query["after"]; len(after) > 1 || len(after) == 1 && len(after[0]) > maxAfter {
		return asked, badRequest("bad_after", "Give after once, as a subject: the members behind it are returned.")
	}
	asked = transport.MembersQuery{After: query.Get("after"), Limit: transport.MaxMembers}
	if query.Has("limit") {
		if asked.Limit, err = parseCount(query["limit"], transport.MaxMembers); err != nil {
			return asked, badRequest("bad_limit", "Give limit once, as a number of members from 1 to 500.")
		}
	}
	return asked, nil
}
