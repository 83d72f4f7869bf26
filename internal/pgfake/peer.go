package pgfake

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/pgseal/pgseal/internal/devca"
)

// Codes in the place of the protocol version, as the documentation of
// PostgreSQL has them.
const (
	Version30 = 196608
	Version32 = 196610
	AskCancel = 80877102
	AskSSL    = 80877103
)

// A Recorder keeps every byte that it reads.
type Recorder struct {
	net.Conn
	mu  sync.Mutex
	got bytes.Buffer
}

func (r *Recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got.Write(b[:n])
	return n, err
}

// Peer is the Server's end of one connection: the socket or pipe, or TLS above.
type Peer struct {
	net.Conn
	Raw  *Recorder     // below TLS
	done chan struct{} // closed when the script has ended

	mu     sync.Mutex
	plain  []byte // what came through TLS in clear
	params map[string]string
}

// Received returns every byte that came before the script ended, as it came
// over the wire and, where there was TLS, as it read inside.
func (p *Peer) Received() (wire, inside string) {
	<-p.done
	p.Raw.mu.Lock()
	defer p.Raw.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Raw.got.String(), string(p.plain)
}

// Take reads n bytes.
func (p *Peer) Take(n int) []byte {
	b := make([]byte, n)
	got, err := io.ReadFull(p.Conn, b)
	if _, ok := p.Conn.(*tls.Conn); ok {
		p.mu.Lock()
		p.plain = append(p.plain, b[:got]...)
		p.mu.Unlock()
	}
	if err != nil {
		panic(Gone{err})
	}
	return b
}

// Hold reads until pgseal has closed the connection.
func (p *Peer) Hold() {
	for {
		p.Take(1)
	}
}

// Put writes bytes as they are.
func (p *Peer) Put(b ...byte) {
	if _, err := p.Conn.Write(b); err != nil {
		panic(Gone{err})
	}
}

// Packet reads a packet without a type: its code and body.
func (p *Peer) Packet() (code uint32, body []byte) {
	n := binary.BigEndian.Uint32(p.Take(4))
	b := p.Take(int(n) - 4)
	return binary.BigEndian.Uint32(b), b[4:]
}

// SSLRequest reads the packet that must come first when TLS is wanted.
func (p *Peer) SSLRequest() {
	if code, body := p.Packet(); code != AskSSL || len(body) != 0 {
		panic("no SSLRequest came first")
	}
}

// Secure answers SSLRequest with yes and shows the certificate.
func (p *Peer) Secure(pair devca.Pair) {
	p.SSLRequest()
	p.Put('S')
	p.Handshake(pair)
}

// Handshake shows the certificate, with what edit says of TLS.
func (p *Peer) Handshake(pair devca.Pair, edit ...func(*tls.Config)) tls.ConnectionState {
	return p.HandshakeOver(p.Raw, pair, edit...)
}

// HandshakeOver is Handshake over another connection than Raw.
func (p *Peer) HandshakeOver(raw net.Conn, pair devca.Pair, edit ...func(*tls.Config)) tls.ConnectionState {
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		panic(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"postgresql"}}
	for _, e := range edit {
		e(config)
	}
	conn := tls.Server(raw, config)
	if err := conn.Handshake(); err != nil {
		panic(Gone{err})
	}
	p.Conn = conn
	return conn.ConnectionState()
}

// Startup reads the startup packet.
func (p *Peer) Startup() map[string]string {
	code, body := p.Packet()
	if code != Version32 {
		panic("no startup packet of version 3.2")
	}
	return p.Started(body)
}

// Started is Startup for the body of a packet that was read.
func (p *Peer) Started(body []byte) map[string]string {
	fields := strings.Split(string(body), "\x00")
	params := map[string]string{}
	for i := 0; i+1 < len(fields) && fields[i] != ""; i += 2 {
		params[fields[i]] = fields[i+1]
	}
	p.mu.Lock()
	p.params = params
	p.mu.Unlock()
	return params
}

// StartedWith returns the parameters of the startup packet.
func (p *Peer) StartedWith() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.params
}

// Frame is a message with its type and length.
func Frame(typ byte, body ...string) string {
	all := strings.Join(body, "")
	return string(binary.BigEndian.AppendUint32([]byte{typ}, uint32(4+len(all)))) + all
}

// Send sends a message.
func (p *Peer) Send(typ byte, body ...string) { p.Put([]byte(Frame(typ, body...))...) }

// Recv reads a message.
func (p *Peer) Recv() (typ byte, body []byte) {
	head := p.Take(5)
	return head[0], p.Take(int(binary.BigEndian.Uint32(head[1:])) - 4)
}

// Word is n as it stands on the wire.
func Word(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

// Authentication sends an Authentication message of some kind.
func (p *Peer) Authentication(kind uint32, data ...string) {
	p.Send('R', append([]string{Word(kind)}, data...)...)
}

// Welcome is what PostgreSQL sends after it let a client in.
const Welcome = "R\x00\x00\x00\x08\x00\x00\x00\x00" +
	"S\x00\x00\x00\x18server_version\x0018.0\x00" +
	"S\x00\x00\x00\x11TimeZone\x00UTC\x00" +
	"K\x00\x00\x00\x0c\x00\x00\x00\x2akey!" +
	"Z\x00\x00\x00\x05I"

// Welcome lets pgseal in.
func (p *Peer) Welcome() { p.Put([]byte(Welcome)...) }

// Fail sends an ErrorResponse.
func (p *Peer) Fail(severity, code, message string) {
	p.Send('E', "S", severity, "\x00V", severity, "\x00C", code, "\x00M", message, "\x00\x00")
}

// Rest answers queries until pgseal says goodbye.
func (p *Peer) Rest() {
	for {
		switch typ, _ := p.Recv(); typ {
		case 'Q':
			p.Put([]byte(Frame('C', "SELECT 1\x00") + Frame('Z', "I"))...)
		case 'X':
			return
		}
	}
}

// Hospitable is the script of a server without TLS that trusts everybody. A
// CancelRequest it takes silently, as PostgreSQL does.
func Hospitable(p *Peer) {
	code, body := p.Packet()
	if code == AskCancel {
		return
	}
	p.Started(body)
	p.Welcome()
	p.Rest()
}
