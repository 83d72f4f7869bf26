package integration

import (
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// wiretap passes connections on to a server and notes what each of them says
// before it is secret.
type wiretap struct {
	ln    net.Listener
	to    string
	mu    sync.Mutex
	conns []*flights
	wg    sync.WaitGroup
}

// flights is how one connection began. mu of its wiretap guards it.
type flights struct {
	hellos     int  // ClientHellos
	roundTrips int  // times that the client spoke after the server had, before its first encrypted record
	spoke      bool // the server has spoken since the client did
	secret     bool // the client has sent an encrypted record
}

func tapInto(t *testing.T, port int) *wiretap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wiretap{ln: ln, to: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	w.wg.Go(w.accept)
	t.Cleanup(func() {
		ln.Close()
		w.wg.Wait()
	})
	return w
}

func (w *wiretap) port() int { return w.ln.Addr().(*net.TCPAddr).Port }

func (w *wiretap) accept() {
	for {
		client, err := w.ln.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.to)
		if err != nil {
			client.Close()
			continue
		}
		f := &flights{}
		w.mu.Lock()
		w.conns = append(w.conns, f)
		w.mu.Unlock()
		w.wg.Go(func() { w.fromClient(f, client, server) })
		w.wg.Go(func() { w.fromServer(f, client, server) })
	}
}

func (w *wiretap) fromServer(f *flights, client, server net.Conn) {
	defer client.Close()
	defer server.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		w.mu.Lock()
		f.spoke = true
		w.mu.Unlock()
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// fromClient passes the SSLRequest on, and then TLS records one by one.
func (w *wiretap) fromClient(f *flights, client, server net.Conn) {
	defer client.Close()
	defer server.Close()
	if _, err := io.CopyN(server, client, 8); err != nil {
		return
	}
	const (
		handshake       = 22 // types of records (RFC 8446, section 5.1)
		applicationData = 23
		clientHello     = 1 // type of a handshake message (section 4)
	)
	head := make([]byte, 5)
	for {
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		body := make([]byte, int(head[3])<<8|int(head[4]))
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		w.mu.Lock()
		if !f.secret && f.spoke {
			f.roundTrips++
		}
		f.spoke = false
		if head[0] == handshake && len(body) > 0 && body[0] == clientHello {
			f.hellos++
		}
		f.secret = f.secret || head[0] == applicationData
		w.mu.Unlock()
		if _, err := server.Write(slices.Concat(head, body)); err != nil {
			return
		}
	}
}

// begun returns how each connection began, in order.
func (w *wiretap) begun() (list []flights) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.conns {
		list = append(list, *f)
	}
	return list
}

func TestTheRoundTripThatAnOlderPostgreSQLAsksForIsPaidOnce(t *testing.T) {
	t.Parallel()
	type cost struct{ hellos, roundTrips int }
	for version, want := range map[string][]cost{
		// SSLRequest, ClientHello, then Finished with the startup packet. The
		// first connection is answered by a HelloRetryRequest and says hello again.
		"15": {{2, 3}, {1, 2}, {1, 2}},
		"18": {{1, 2}, {1, 2}, {1, 2}},
	} {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			pg := sharedPostgres(t, version)
			w := tapInto(t, pg.Port())
			p := start(t, pg, options{databases: map[string]settings{"app": {"port": strconv.Itoa(w.port())}}})
			for range want {
				execute(t, p.pgx(t, "app", execMode), "BEGIN") // each holds a server of its own
			}
			var got []cost
			for _, f := range w.begun() {
				got = append(got, cost{f.hellos, f.roundTrips})
			}
			if !slices.Equal(got, want) {
				t.Errorf("ClientHellos and round trips to a login over TLS: %v, want %v", got, want)
			}
		})
	}
}
