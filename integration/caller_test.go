package integration

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// caller is a client of a dialogue on a connection of which each byte is the
// dialogue's own.
type caller struct {
	hijacked *pgconn.HijackedConn
	greeting string
	port     int
	heard    chan string // what the server said, a message each; closed at its end
	last     string      // heard
	owed     int         // how many ReadyForQuery may come
}

// call logs in. room is how many messages of the server may wait to be heard.
func call(ctx context.Context, dsn string, room int) (*caller, error) {
	config, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	// The curve that costs least: Go has the others without assembly, which the
	// race detector slows down on both sides.
	config.TLSConfig.CurvePreferences = []tls.CurveID{tls.CurveP256}
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &attentive{TCPConn: conn.(*net.TCPConn)}, nil
	}
	// A write that took long has left pgconn reading in the background. What that
	// reads is to be had from the reader of pgconn alone: SyncConn would ask the
	// server something.
	var in io.Reader
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		in = r
		return pgproto3.NewFrontend(r, w)
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	hijacked, err := conn.Hijack()
	if err != nil {
		return nil, err
	}
	var list []string
	for name, v := range hijacked.ParameterStatuses {
		list = append(list, name+"="+v)
	}
	slices.Sort(list)
	c := &caller{hijacked: hijacked, greeting: "greeting " + strings.Join(list, ", "), port: int(config.Port), heard: make(chan string, room)}
	go c.listen(in)
	return c, nil
}

// listen tells what comes in until the connection ends. Reports of parameters
// that come in a row are sorted: PostgreSQL's order tells nothing.
func (c *caller) listen(from io.Reader) {
	defer close(c.heard)
	in := bufio.NewReaderSize(from, 64<<10)
	var reports []string
	for {
		var head [5]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			break
		}
		body := make([]byte, max(4, binary.BigEndian.Uint32(head[1:]))-4)
		if _, err := io.ReadFull(in, body); err != nil {
			break
		}
		said := tell(head[0], body)
		if head[0] == 'S' {
			reports = append(reports, said)
			continue
		}
		c.say(reports)
		reports = nil
		c.heard <- said
	}
	c.say(reports)
	c.heard <- "EOF"
}

func (c *caller) say(reports []string) {
	slices.Sort(reports)
	for _, r := range reports {
		c.heard <- r
	}
}

// attentive is a connection that tells whether somebody waits for it.
type attentive struct {
	*net.TCPConn
	reading atomic.Bool
}

// Read implements net.Conn.
func (c *attentive) Read(b []byte) (int, error) {
	c.reading.Store(true)
	defer c.reading.Store(false)
	return c.TCPConn.Read(b)
}

// raw is the connection below TLS.
func (c *caller) raw() *attentive {
	conn := c.hijacked.Conn
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	return conn.(*attentive)
}

// unread reports whether bytes are on their way: they lie in the socket of
// either side, or what has come was not heard yet.
func (c *caller) unread() bool {
	conn := c.raw()
	ours, theirs := conn.LocalAddr().(*net.TCPAddr).AddrPort(), conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	here, err := queued(ours, theirs)
	if err != nil {
		panic(err)
	}
	there, err := queued(theirs, ours)
	if err != nil {
		panic(err)
	}
	return here > 0 || there > 0 || !conn.reading.Load()
}

// vanish closes the connection without a word, or breaks it.
func (c *caller) vanish(breaks bool) {
	conn := c.raw()
	if breaks {
		conn.SetLinger(0)
	}
	conn.Close()
}

// tell puts a message of the server in words, without what differs between
// two sessions: OIDs of what was created, process IDs.
func tell(kind byte, body []byte) string {
	r := &words{body}
	switch kind {
	case '1':
		return "ParseComplete"
	case '2':
		return "BindComplete"
	case '3':
		return "CloseComplete"
	case 'n':
		return "NoData"
	case 's':
		return "PortalSuspended"
	case 'I':
		return "EmptyQueryResponse"
	case 'c':
		return "CopyDone"
	case 'G':
		return "CopyInResponse"
	case 'H':
		return "CopyOutResponse"
	case 'd':
		return "CopyData " + brief(string(body))
	case 'Z':
		return "ready " + string(body)
	case 'C':
		return r.text()
	case 'S':
		return "report " + r.text() + "=" + r.text()
	case 'A':
		r.skip(4)
		return "notification " + r.text() + " " + r.text()
	case 'E', 'N':
		return r.complaint(kind)
	case 'D':
		return "row" + r.values()
	case 'V':
		return "result " + r.value()
	case 't':
		list := make([]string, r.short())
		for i := range list {
			list[i] = r.oid()
		}
		return fmt.Sprint("parameters ", list)
	case 'T':
		return "columns" + r.columns()
	}
	return fmt.Sprintf("%c %q", kind, body)
}

// brief is a text, or what tells it from others where it is long.
func brief(text string) string {
	if len(text) > 300 {
		return fmt.Sprintf("%q... (%d bytes, %08x)", text[:40], len(text), crc32.ChecksumIEEE([]byte(text)))
	}
	return fmt.Sprintf("%q", text)
}

// words takes the fields of a message.
type words struct{ rest []byte }

func (w *words) skip(n int) []byte {
	n = min(n, len(w.rest))
	b := w.rest[:n:n]
	w.rest = w.rest[n:]
	return b
}

func (w *words) short() int { return int(binary.BigEndian.Uint16(append(w.skip(2), 0, 0))) }
func (w *words) long() int {
	return int(int32(binary.BigEndian.Uint32(append(w.skip(4), 0, 0, 0, 0))))
}

func (w *words) text() string {
	text, rest, _ := strings.Cut(string(w.rest), "\x00")
	w.rest = []byte(rest)
	return text
}

// oid is that of a type, which may have been created.
func (w *words) oid() string {
	if oid := w.long(); oid < 16384 {
		return fmt.Sprint(oid)
	}
	return "own"
}

func (w *words) value() string {
	n := w.long()
	if n < 0 {
		return "null"
	}
	return brief(string(w.skip(n)))
}

func (w *words) values() string {
	var b strings.Builder
	for range w.short() {
		b.WriteString(" " + w.value())
	}
	return b.String()
}

func (w *words) columns() string {
	var b strings.Builder
	for range w.short() {
		name := w.text()
		w.skip(6) // table and attribute
		kind := w.oid()
		w.skip(2)
		fmt.Fprintf(&b, " %s:%s/%d/%d", name, kind, w.long(), w.short())
	}
	return b.String()
}

// complaint is an error or a notice. Drivers look at the routine of 0A000.
func (w *words) complaint(kind byte) string {
	f := map[byte]string{}
	for len(w.rest) > 1 {
		f[w.skip(1)[0]] = w.text()
	}
	said := fmt.Sprintf("%c %s %s %s", kind, f['S'], f['C'], brief(f['M']))
	for _, field := range []byte("DHP") {
		if f[field] != "" {
			said += fmt.Sprintf(" %c:%s", field, f[field])
		}
	}
	if f['C'] == "0A000" {
		said += " by " + f['R']
	}
	return said
}
