package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/tlsconf"
)

const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = time.Minute // a profile of 30 seconds is well within it
	idleTimeout   = 2 * time.Minute
	headerLimit   = 8 << 10
	maxConns      = 100
	maxOfAddress  = maxConns / 2 // connections of one address, so that it leaves room for others
	stopTimeout   = time.Second
)

// Options is what a Server is made of.
type Options struct {
	Address string
	Health  Health
	Pages   map[string]http.Handler // by pattern of http.ServeMux without a method; a token is needed for them
	Pprof   bool

	Certificate *reload.Store[*tlsconf.Listener] // nil: plaintext
	Token       *reload.Store[Token]             // nil: none is needed
}

// Server answers HTTP from goroutines of its own, from Listen to Close.
type Server struct {
	http    http.Server
	addr    net.Addr
	serving sync.WaitGroup
}

// Listen opens the address and begins to serve.
func Listen(log *zap.Logger, o Options) (*Server, error) {
	ln, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("http.address: %w", err)
	}
	quiet, err := zap.NewStdLogAt(log.Named("http"), zapcore.DebugLevel)
	if err != nil {
		ln.Close()
		return nil, err
	}
	s := &Server{addr: ln.Addr()}
	s.http = http.Server{
		Handler: o.handler(), ErrorLog: quiet, MaxHeaderBytes: headerLimit,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
	}
	ln = &bounded{Listener: ln, places: make(chan struct{}, maxConns), closed: make(chan struct{}), of: map[string]int{}}
	if o.Certificate != nil {
		ln = tls.NewListener(ln, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			config := o.Certificate.Load().Config.Clone()
			config.NextProtos = []string{"http/1.1"} // the store's certificates speak PostgreSQL's protocol
			return config, nil
		}})
	}
	s.serving.Go(func() {
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Error("http server failed", zap.Error(err))
		}
	})
	return s, nil
}

// Addr returns where the server listens, with the port that the system chose.
func (s *Server) Addr() net.Addr { return s.addr }

// Close ends the server. Requests under way get a moment.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	s.serving.Wait()
}

// handler serves all paths.
func (o Options) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/healthz", health(o.Health.Alive))
	mux.Handle("/readyz", health(o.Health.Ready))
	mux.Handle("/startupz", health(o.Health.Started))
	guarded := func(pattern string, h http.Handler) { mux.Handle(pattern, o.guard(h)) }
	for pattern, h := range o.Pages {
		guarded(pattern, h)
	}
	if o.Pprof {
		guarded("/debug/pprof/", http.HandlerFunc(pprof.Index))
		guarded("/debug/pprof/cmdline", http.HandlerFunc(pprof.Cmdline))
		guarded("/debug/pprof/profile", http.HandlerFunc(pprof.Profile))
		guarded("/debug/pprof/symbol", http.HandlerFunc(pprof.Symbol))
		guarded("/debug/pprof/trace", http.HandlerFunc(pprof.Trace))
	}
	return readOnly(mux)
}

// bounded is a listener with a limited number of connections: others wait in the
// kernel's backlog. Connections beyond an address's share are closed.
type bounded struct {
	net.Listener
	places chan struct{}
	once   sync.Once
	closed chan struct{}

	mu sync.Mutex
	of map[string]int // connections by address
}

func (l *bounded) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			<-l.places
			return nil, err
		}
		from := addressOf(conn)
		if l.count(from, 1) <= maxOfAddress {
			return &placed{Conn: conn, leave: sync.OnceFunc(func() { l.count(from, -1); <-l.places })}, nil
		}
		l.count(from, -1)
		conn.Close()
	}
}

// count adds n to the connections of an address and returns how many it has.
func (l *bounded) count(from string, n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[from] += n; l.of[from] == 0 {
		delete(l.of, from)
		return 0
	}
	return l.of[from]
}

func addressOf(conn net.Conn) string {
	host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	return host
}

func (l *bounded) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// placed is a connection that gives its place back.
type placed struct {
	net.Conn
	leave func()
}

func (c *placed) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
