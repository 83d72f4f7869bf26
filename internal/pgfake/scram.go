package pgfake

import (
	"bytes"
	"errors"
	"strings"

	"github.com/pgseal/pgseal/internal/auth"
)

// SCRAM is the server's part of a SCRAM login, with places to cheat.
type SCRAM struct {
	Password   string
	Iterations int
	Mechanisms string              // list to offer instead of the usual one
	Endpoint   []byte              // set: PLUS is supported, with this hash
	First      func(string) string // changes the server's first message
	Final      func(string) string // changes its signature; "" leaves it out
}

// Run plays it up to the final message. It returns false for a wrong password,
// after it has said so.
func (s SCRAM) Run(p *Peer) bool {
	if s.Iterations == 0 {
		s.Iterations = 4096
	}
	secret, err := auth.NewSecret(s.Password, min(s.Iterations, auth.MaxServerIterations))
	if err != nil {
		panic(err)
	}
	exchange := auth.NewServerExchange(secret, true)
	exchange.Bind(s.Endpoint)
	if s.Mechanisms == "" {
		s.Mechanisms = strings.Join(exchange.Mechanisms(), "\x00") + "\x00\x00"
	}
	p.Authentication(10, s.Mechanisms)
	typ, body := p.Recv()
	name, rest, found := bytes.Cut(body, []byte{0})
	if typ != 'p' || !found || !exchange.Choose(string(name)) || len(rest) < 4 {
		panic("no SASLInitialResponse for SCRAM-SHA-256")
	}
	first, err := exchange.First(rest[4:])
	if errors.Is(err, auth.ErrBindingDowngrade) {
		p.Fail("FATAL", "28000", "SCRAM channel binding negotiation error")
		return false
	}
	if err != nil {
		panic(err)
	}
	if s.First != nil {
		first = []byte(s.First(string(first)))
	}
	p.Authentication(11, string(first))
	if typ, body = p.Recv(); typ != 'p' {
		panic("no SASLResponse")
	}
	final, err := exchange.Final(body)
	if errors.Is(err, auth.ErrWrongPassword) {
		p.Fail("FATAL", "28P01", "password authentication failed for user \"app\"")
		return false
	}
	if errors.Is(err, auth.ErrBinding) {
		p.Fail("FATAL", "28000", "SCRAM channel binding check failed")
		return false
	}
	if err != nil {
		panic(err)
	}
	if s.Final != nil {
		final = []byte(s.Final(string(final)))
	}
	if len(final) > 0 {
		p.Authentication(12, string(final))
	}
	return true
}
