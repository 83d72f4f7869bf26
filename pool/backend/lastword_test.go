package backend

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"testing"
)

// farewell is a connection that the other side has reset, with what it had sent
// before still to be read.
type farewell struct {
	net.Conn
	left error
}

func (g farewell) Write([]byte) (int, error) { return 0, syscall.ECONNRESET }
func (g farewell) Read([]byte) (int, error)  { return 0, g.left }

func TestAServerThatRefusedOurCertificateAndLeftIsHeard(t *testing.T) {
	alert := &net.OpError{Op: "remote error", Err: tls.AlertError(48)}
	for _, test := range []struct{ left, want error }{
		{alert, alert},
		{syscall.ECONNRESET, syscall.ECONNRESET},
		{nil, syscall.ECONNRESET},
		{&net.OpError{Op: "read", Err: syscall.ETIMEDOUT}, syscall.ECONNRESET},
	} {
		c := &Conn{transport: &transport{Conn: farewell{left: test.left}}}
		if err := c.logIn(Login{User: "app"}, terms{}, nil); !errors.Is(err, test.want) {
			t.Errorf("with %v left to read the error is %v", test.left, err)
		}
	}
}
