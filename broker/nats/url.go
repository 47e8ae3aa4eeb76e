package nats

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	natsgo "github.com/nats-io/nats.go"

	"github.com/pregon/pregon/broker"
)

func init() {
	broker.Register("nats", func(_ context.Context, u *url.URL) (broker.Broker, error) {
		o, err := parse(u)
		if err != nil {
			return nil, err
		}
		return New(o)
	})
}

// badURL is an error about a part of a URL, which it does not repeat: it may be a secret.
func badURL(why string) error { return fmt.Errorf("%w: nats: %s", broker.ErrURL, why) }

// parse returns what a URL says.
func parse(u *url.URL) (o Options, err error) {
	if err := broker.CheckParams(u, "creds", "nkey", "tls", "ca", "prefix", "storage", "replicas", "subjects", "lossy",
		broker.ParamHistory, broker.ParamHistorySize); err != nil {
		return o, err
	}
	if u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return o, badURL("it ends behind the servers and the parameters")
	}
	if o.Servers, err = servers(u.Host); err != nil {
		return o, err
	}
	o.Username = u.User.Username()
	o.Password, _ = u.User.Password()
	q := u.Query()
	o.Prefix = q.Get("prefix")
	if err := history(&o, u); err != nil {
		return o, err
	}
	if o.Lossy, err = lossy(q, o.History); err != nil {
		return o, err
	}
	if o.TLS, err = security(q); err != nil {
		return o, err
	}
	return o, credentials(&o, q)
}

// servers returns the addresses that a host of a URL has, each with a port.
func servers(hosts string) (all []string, err error) {
	for host := range strings.SplitSeq(hosts, ",") {
		name, port, err := net.SplitHostPort(host)
		if err != nil {
			name, port = strings.Trim(host, "[]"), "4222"
		}
		if n, err := strconv.ParseUint(port, 10, 16); name == "" || err != nil || n == 0 || strings.Contains(name, ":") && net.ParseIP(name) == nil {
			return nil, badURL("a server is not host:port; several stand behind commas")
		}
		all = append(all, net.JoinHostPort(name, port))
	}
	return all, nil
}

// history adds to o what a URL says of what is kept.
func history(o *Options, u *url.URL) (err error) {
	if o.History, err = broker.ParseRetention(u); err != nil {
		return err
	}
	q := u.Query()
	for _, name := range []string{"storage", "replicas", "subjects"} {
		if o.History.IsZero() && q.Has(name) {
			return badURL("the parameter " + name + " is for a history")
		}
	}
	if why := badPrefix(o.Prefix, !o.History.IsZero()); why != "" {
		return badURL("the parameter prefix " + why)
	}
	switch q.Get("storage") {
	case "", "file":
	case "memory":
		o.InMemory = true
	default:
		return badURL("the parameter storage is not file or memory")
	}
	if q.Has("replicas") {
		if o.Replicas, err = strconv.Atoi(q.Get("replicas")); err != nil || o.Replicas < 1 || o.Replicas > maxReplicas {
			return badURL("the parameter replicas is not a number from 1 to 5")
		}
	}
	if q.Has("subjects") {
		o.Subjects = strings.Split(q.Get("subjects"), ",")
	}
	if why := badPatterns(o.Subjects, o.Prefix); why != "" {
		return badURL("the parameter subjects " + why)
	}
	return nil
}

// lossy returns whether a URL puts up with losses that nobody is told of.
func lossy(q url.Values, kept broker.Retention) (bool, error) {
	switch {
	case !q.Has("lossy"):
		return false, nil
	case q.Get("lossy") != "1":
		return false, badURL("the parameter lossy is not 1")
	case !kept.IsZero():
		return false, badURL("the parameter lossy is for a cluster without a history; with one, have replicas=3 servers keep it")
	}
	return true, nil
}

// flag returns a parameter that is true or false.
func flag(q url.Values, name string) (bool, error) {
	if !q.Has(name) {
		return false, nil
	}
	on, err := strconv.ParseBool(q.Get(name))
	if err != nil {
		return false, badURL("the parameter " + name + " is not true or false")
	}
	return on, nil
}

// security returns what to use TLS with, nil for none.
func security(q url.Values) (*tls.Config, error) {
	on, err := flag(q, "tls")
	if err != nil {
		return nil, err
	}
	switch {
	case q.Has("ca"):
		text, err := os.ReadFile(q.Get("ca"))
		if err != nil {
			return nil, badURL("the file of the parameter ca cannot be read")
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, badURL("the file of the parameter ca has no certificate in PEM")
		}
		return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
	case on:
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	return nil, nil
}

// credentials adds to o what a file says of who the node is.
func credentials(o *Options, q url.Values) error {
	switch {
	case q.Has("creds") && q.Has("nkey"), (q.Has("creds") || q.Has("nkey")) && o.Username != "":
		return badURL("there is more than one of a user, creds and nkey")
	case q.Has("creds"):
		if file, err := os.Stat(q.Get("creds")); err != nil || file.IsDir() {
			return badURL("the file of the parameter creds cannot be read")
		}
		o.Credentials = natsgo.UserCredentials(q.Get("creds"))
	case q.Has("nkey"):
		option, err := natsgo.NkeyOptionFromSeed(q.Get("nkey"))
		if err != nil {
			return badURL("the file of the parameter nkey has no seed of a user's NKEY")
		}
		o.Credentials = option
	}
	return nil
}
