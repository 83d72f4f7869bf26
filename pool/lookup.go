package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
)

const (
	// lookupsAtOnce is how many connections for lookups one login has at most.
	lookupsAtOnce = 4
	// lookupIdle is how long such a connection is kept unused.
	lookupIdle = time.Minute
	// lookupRetry is the pause after a connection could not be opened, in which
	// lookups that need a new one fail at once.
	lookupRetry = time.Second
	// statementTimeout bounds a lookup at the server, and lookupTimeout the
	// whole of it here, with what the server may have to wait for.
	statementTimeout = 5 * time.Second
	lookupTimeout    = statementTimeout + 2*time.Second
)

// lookups holds the connections on which pgseal looks up what it needs to know
// for itself. No client is ever lent one of them, and nothing that a client
// sends reaches them but the parameters of the query.
type lookups struct {
	// Set once.
	dialer    *backend.Dialer
	catalogue *catalogue

	mu      sync.Mutex
	lines   []*lookupLine
	version uint64 // connections of an older one are not used again
	closed  bool
}

// lookupLine holds the connections of one login to one database.
type lookupLine struct {
	database string
	login    Login
	places   chan struct{} // one token for each lookup under way

	// Guarded by the mutex of lookups.
	idle    []lookupConn // the one used last at the end
	retryAt time.Time    // no connection is opened before
	lastErr error        // why the last one could not be opened
}

type lookupConn struct {
	*backend.Conn
	version uint64
	since   time.Time // it has been idle
	once    bool      // it was opened while the database was paused
}

// LookupConfig returns the configuration of lookups for the clients of a database,
// with the password that belongs to it, and false if there is no such
// database. It brings no database of the AnyDatabase entry to life.
func (m *Manager) LookupConfig(database string) (c LookupConfig, password string, ok bool) {
	spec := m.catalogue.specOf(database)
	if spec == nil {
		return LookupConfig{}, "", false
	}
	return spec.LookupConfig, spec.AuthPass, true
}

// RunLookup runs one query in a database under a login of pgseal's own, with args
// for its parameters, and returns most rows at most. The connection is kept for
// the next lookup; it is outside of pool_size. While the database is paused it
// ends with its lookup: an administrator must be able to log in and resume.
//
// It blocks for some seconds at most, so it may not be called on an event
// loop. An error that the server reported of the query or the login is, or
// wraps, a *wire.Error; it is for the log, and not for clients.
func (m *Manager) RunLookup(ctx context.Context, database string, login Login, most int, sql string, args ...string) ([]wire.Row, error) {
	return m.lookups.run(ctx, database, login, most, sql, args)
}

func (l *lookups) run(ctx context.Context, database string, login Login, most int, sql string, args []string) ([]wire.Row, error) {
	line, err := l.line(database, login)
	if err != nil {
		return nil, err
	}
	inLine, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	select {
	case line.places <- struct{}{}:
	case <-inLine.Done():
		return nil, fmt.Errorf("too many concurrent lookups in database %q: %w", database, inLine.Err())
	}
	defer func() { <-line.places }()
	if conn, ok := l.take(line); ok {
		rows, err := l.query(ctx, line, conn, most, sql, args)
		var refused *wire.Error
		if err == nil || errors.As(err, &refused) && conn.Err() == nil || ctx.Err() != nil {
			return rows, err
		}
		// It was cut while it was idle: a new one may do.
	}
	if err := l.failedLately(line); err != nil {
		return nil, err
	}
	conn, err := l.open(ctx, line)
	l.opened(line, err)
	if err != nil {
		return nil, err
	}
	return l.query(ctx, line, conn, most, sql, args)
}

// query runs a lookup and keeps the connection if it may be used again.
func (l *lookups) query(ctx context.Context, line *lookupLine, conn lookupConn, most int, sql string, args []string) ([]wire.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	rows, err := conn.QueryRows(ctx, most, sql, args...)
	l.keep(line, conn)
	return rows, err
}

// open opens a connection to the first host of the database that takes it.
func (l *lookups) open(ctx context.Context, line *lookupLine) (c lookupConn, err error) {
	version := l.now()
	spec := l.catalogue.specOf(line.database)
	if spec == nil {
		return c, fmt.Errorf("no such database: %s", line.database)
	}
	bound := wire.Parameter{Name: "statement_timeout", Value: strconv.Itoa(int(statementTimeout.Milliseconds()))}
	conn, err := l.dialer.Dial(ctx, spec.target(line.database, line.login, bound, backend.AsPgseal))
	return lookupConn{Conn: conn, version: version, once: l.catalogue.isPaused(line.database)}, err
}

// line returns the connections of a login to a database.
func (l *lookups) line(database string, login Login) (*lookupLine, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	for _, line := range l.lines {
		if line.database == database && line.login.Equal(login) {
			return line, nil
		}
	}
	line := &lookupLine{database: database, login: login, places: make(chan struct{}, lookupsAtOnce)}
	l.lines = append(l.lines, line)
	return line, nil
}

// failedLately returns why no connection can be opened now, or nil.
func (l *lookups) failedLately(line *lookupLine) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(line.retryAt) {
		return line.lastErr
	}
	return nil
}

// opened notes what came of opening a connection.
func (l *lookups) opened(line *lookupLine, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line.lastErr, line.retryAt = err, time.Time{}
	if err != nil {
		line.retryAt = time.Now().Add(lookupRetry)
	}
}

// take returns the idle connection that was used last.
func (l *lookups) take(line *lookupLine) (c lookupConn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(line.idle); n > 0 {
		c, line.idle = line.idle[n-1], line.idle[:n-1]
		return c, true
	}
	return c, false
}

// keep takes back a connection, or closes it.
func (l *lookups) keep(line *lookupLine, conn lookupConn) {
	l.mu.Lock()
	fit := conn.Err() == nil && !conn.once && conn.version == l.version && !l.closed && slices.Contains(l.lines, line)
	if fit {
		conn.since = time.Now()
		line.idle = append(line.idle, conn)
	}
	l.mu.Unlock()
	if !fit {
		conn.Close()
	}
}

func (l *lookups) now() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.version
}

// invalidate closes the connections that are idle, and the others when their lookup
// ends: their host, or what they were verified by, may have changed.
func (l *lookups) invalidate() {
	l.mu.Lock()
	l.version++
	l.mu.Unlock()
	l.end(time.Time{})
}

// sweep closes what was idle for long, and forgets logins without connections.
func (l *lookups) sweep() { l.end(time.Now().Add(-lookupIdle)) }

func (l *lookups) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.end(time.Time{})
}

// end closes what has been idle since before the time, all that is idle if
// that is zero.
func (l *lookups) end(before time.Time) {
	var old []lookupConn
	l.mu.Lock()
	l.lines = slices.DeleteFunc(l.lines, func(line *lookupLine) bool {
		var kept []lookupConn
		for _, c := range line.idle {
			if before.IsZero() || c.since.Before(before) {
				old = append(old, c)
			} else {
				kept = append(kept, c)
			}
		}
		line.idle = kept
		return len(kept) == 0 && len(line.places) == 0
	})
	l.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
}
