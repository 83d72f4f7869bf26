package integration

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/pgcluster"
	"github.com/pgseal/pgseal/internal/pgmodel"
	"github.com/pgseal/pgseal/internal/pgmodel/randomsession"
	"github.com/pgseal/pgseal/internal/wire"
)

// TestTheModelAnswersAsPostgreSQL plays random sessions, byte for byte, on
// PostgreSQL and on the model of it that the relay is tested with. It takes a
// few seconds, or as long as PGSEAL_SOAK says. PGSEAL_TEST_SEED repeats the
// sessions from one on.
func TestTheModelAnswersAsPostgreSQL(t *testing.T) {
	t.Parallel()
	length, err := time.ParseDuration(cmp.Or(os.Getenv("PGSEAL_SOAK"), "7s"))
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64() >> 1
	if s := os.Getenv("PGSEAL_TEST_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range versions {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			j := newModelJudge(t, version)
			sessions, failed := 0, 0
			for end := time.Now().Add(length); time.Now().Before(end) && failed < 3; sessions++ {
				if err := j.session(seed + uint64(sessions)); err != nil {
					failed++
					t.Errorf("PGSEAL_TEST_SEED=%d PostgreSQL %s: %v", seed+uint64(sessions), version, err)
				}
			}
			t.Logf("%d sessions, %d messages", sessions, j.messages)
		})
	}
}

// modelJudge compares a PostgreSQL of its own, which takes logins over plain TCP,
// with the model.
type modelJudge struct {
	version  int
	address  string
	admin    *talk
	messages int
}

func newModelJudge(t *testing.T, version string) *modelJudge {
	t.Helper()
	bin, err := findPrograms(version)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pg, err := pgcluster.Start(ctx, pgcluster.Options{
		BinDir: bin, Password: superPassword,
		HBA:      []string{"host all all 127.0.0.1/32 trust"},
		Settings: map[string]string{"timezone": "UTC", "fsync": "off", "max_connections": "20", "autovacuum": "off"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.Stop(); err != nil {
			t.Error(err)
		}
	})
	major, _ := strconv.Atoi(version)
	j := &modelJudge{version: major, address: net.JoinHostPort(pg.Host(), strconv.Itoa(pg.Port()))}
	if j.admin, _, err = j.dial(startupOfModel...); err != nil {
		t.Fatal(err)
	}
	j.run(t, "CREATE ROLE a SUPERUSER")
	j.run(t, "CREATE ROLE b SUPERUSER")
	return j
}

func (j *modelJudge) run(t *testing.T, sql string) {
	t.Helper()
	if err := j.admin.run(sql); err != nil {
		t.Fatal(err)
	}
}

// talk is a connection in raw bytes.
type talk struct {
	conn net.Conn
	r    *bufio.Reader
	pid  uint32
}

func (j *modelJudge) dial(startup ...wire.Parameter) (*talk, []wire.Parameter, error) {
	conn, err := net.Dial("tcp", j.address)
	if err != nil {
		return nil, nil, err
	}
	c := &talk{conn: conn, r: bufio.NewReader(conn)}
	hello, err := wire.AppendStartup(nil, wire.Version30, startup)
	if err != nil {
		return nil, nil, err
	}
	if _, err := conn.Write(hello); err != nil {
		return nil, nil, err
	}
	var params []wire.Parameter
	for {
		typ, body, err := c.read()
		switch {
		case err != nil:
			return nil, nil, err
		case typ == wire.ErrorResponse:
			e, _ := wire.ParseError(body)
			return nil, nil, e
		case typ == wire.ParameterStatus:
			p, _ := wire.ParseParameterStatus(body)
			params = append(params, p)
		case typ == wire.BackendKeyData:
			c.pid = binary.BigEndian.Uint32(body)
		case typ == wire.ReadyForQuery:
			return c, params, nil
		}
	}
}

var startupOfModel = []wire.Parameter{{Name: "user", Value: "postgres"}, {Name: "database", Value: "postgres"}, {Name: "application_name", Value: "model"}}

// read waits for one message.
func (c *talk) read() (byte, []byte, error) {
	c.conn.SetReadDeadline(time.Now().Add(patience))
	return wire.ReadMessage(c.r, nil, wire.LargeLimit)
}

func (c *talk) run(sql string) error {
	if _, err := c.conn.Write(wire.AppendQuery(nil, sql)); err != nil {
		return err
	}
	var failed error
	for {
		typ, body, err := c.read()
		switch {
		case err != nil:
			return err
		case typ == wire.ErrorResponse:
			failed, _ = wire.ParseError(body)
		case typ == wire.ReadyForQuery:
			return failed
		}
	}
}

// side is one session, on PostgreSQL and on the model.
type side struct {
	name   string
	real   *talk
	model  *pgmodel.Backend
	writes [][]byte
}

// session plays one session, or two that share a table, a channel and locks.
// Writes are made one at a time, each answered before the next, so that what is
// flushed is compared too.
func (j *modelJudge) session(seed uint64) error {
	for _, sql := range []string{"DROP TABLE IF EXISTS t", "CREATE TABLE t (a int4)"} {
		if err := j.admin.run(sql); err != nil {
			return err
		}
	}
	r := rand.New(rand.NewPCG(seed, 0))
	cluster := pgmodel.NewCluster(j.version)
	var sides []*side
	for range 1 + r.IntN(4)/3 {
		real, _, err := j.dial(startupOfModel...)
		if err != nil {
			return err
		}
		defer real.conn.Close()
		model, _ := cluster.Connect(startupOfModel)
		sides = append(sides, &side{string(rune('A' + len(sides))), real, model, randomsession.New(r, "t")})
	}
	var log strings.Builder
	err := j.play(r, sides, &log)
	if err != nil || blocked(sides) != nil {
		if err := j.admin.run(abandon); err != nil {
			return fmt.Errorf("PostgreSQL is gone: %w after\n%s", err, &log)
		}
	}
	switch {
	case err == errAbandoned || err == nil && blocked(sides) != nil:
		return nil
	case err != nil:
		return fmt.Errorf("%w in\n%s", err, &log)
	}
	for _, s := range sides {
		if err := s.real.end(s.model.Closed()); err != nil {
			return fmt.Errorf("%s: %w at the end of\n%s", s.name, err, &log)
		}
		s.model.Disconnect()
	}
	return nil
}

const (
	untilBlocked = `DO $$ BEGIN
		WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %d AND wait_event_type = 'Lock') LOOP
			PERFORM pg_sleep(0.001);
			PERFORM pg_stat_clear_snapshot();
		END LOOP; END $$`
	abandon = `DO $$ BEGIN
		PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid();
		WHILE EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) LOOP
			PERFORM pg_sleep(0.001);
			PERFORM pg_stat_clear_snapshot();
		END LOOP; END $$`
)

// staleSnapshot matches commands that take a snapshot before they wait for a
// lock, and so miss what the one that they wait for commits. The model does not
// know snapshots.
var staleSnapshot = regexp.MustCompile(`EXECUTE|TO STDOUT`)

func (j *modelJudge) play(r *rand.Rand, sides []*side, log *strings.Builder) error {
	s := sides[0]
	for settled := true; ; {
		if settled {
			s = sides[r.IntN(len(sides))]
		}
		if !slices.ContainsFunc(sides, (*side).ready) || !settled && !s.ready() {
			return nil
		}
		if !s.ready() {
			continue
		}
		p := s.writes[0]
		s.writes = s.writes[1:]
		fmt.Fprintf(log, "%s -> %s\n", s.name, pgmodel.Describe(p))
		waiting := blocked(sides)
		s.model.Feed(p)
		if waiting != nil && !waiting.model.Blocked() {
			return errAbandoned // who is faster from here on is open
		}
		if _, err := s.real.conn.Write(p); err != nil && !s.model.Closed() {
			return err
		}
		for _, o := range sides {
			last, err := j.compare(o, log)
			if err != nil {
				return err
			}
			if o == s {
				settled = strings.HasPrefix(last, "Z") && endsCommand(p)
			}
		}
		if s.model.Blocked() {
			if staleSnapshot.Match(p) {
				return errAbandoned
			}
			if err := j.admin.run(fmt.Sprintf(untilBlocked, s.real.pid)); err != nil {
				return err
			}
			settled = true
		}
	}
}

// ready reports whether a side can make its next write.
func (s *side) ready() bool {
	return len(s.writes) > 0 && !s.model.Blocked() && !s.model.Closed()
}

// endsCommand reports whether the last message of a write is answered by
// ReadyForQuery. Until it is, what a backend has done is not known, and another
// session has to wait.
func endsCommand(p []byte) bool {
	typ := byte(0)
	for len(p) >= wire.HeaderSize {
		n := 1 + int(binary.BigEndian.Uint32(p[1:]))
		if n < wire.HeaderSize || n > len(p) {
			return false
		}
		typ, p = p[0], p[n:]
	}
	return len(p) == 0 && (typ == wire.Query || typ == wire.Sync || typ == wire.FunctionCall)
}

// errAbandoned ends a play early, without a difference.
var errAbandoned = errors.New("the order of what comes is not known")

// blocked returns a side that waits for a lock, or nil.
func blocked(sides []*side) *side {
	if i := slices.IndexFunc(sides, func(s *side) bool { return s.model.Blocked() }); i >= 0 {
		return sides[i]
	}
	return nil
}

// compare reads as many messages as the model has sent. It returns the last.
func (j *modelJudge) compare(s *side, log *strings.Builder) (last string, err error) {
	want, got := modelReadings(s.model.Take()), []string(nil)
	for range want {
		typ, body, err := s.real.read()
		if errors.Is(err, syscall.ECONNRESET) && s.model.Closed() {
			want = want[:len(got)] // what was sent last can be lost
			break
		}
		if err != nil {
			got = append(got, err.Error())
			break
		}
		got = append(got, modelReading(typ, body))
	}
	if sorted(want) == sorted(got) && s.real.r.Buffered() == 0 {
		j.messages += len(got)
		if len(got) == 0 {
			return "", nil
		}
		fmt.Fprintf(log, "%s <- %s\n", s.name, strings.Join(got, "  "))
		return got[len(got)-1], nil
	}
	for s.real.r.Buffered() > 0 {
		typ, body, err := s.real.read()
		if err != nil {
			break
		}
		got = append(got, "(more) "+modelReading(typ, body))
	}
	return "", fmt.Errorf("%s: PostgreSQL answers\n   %s\nthe model\n   %s", s.name, strings.Join(got, "  "), strings.Join(want, "  "))
}

// end looks for what the server sent and the model did not.
func (c *talk) end(closed bool) error {
	if !closed {
		c.conn.(*net.TCPConn).CloseWrite()
	}
	typ, body, err := c.read()
	switch {
	case errors.Is(err, io.EOF) || err != nil && closed:
		return nil
	case err != nil:
		return err
	case typ == wire.ErrorResponse && !closed:
		return nil // of the end within a COPY
	}
	return fmt.Errorf("PostgreSQL also sent %s", modelReading(typ, body))
}

func modelReadings(p []byte) (list []string) {
	for len(p) > 0 {
		n := 1 + int(binary.BigEndian.Uint32(p[1:]))
		list = append(list, modelReading(p[0], p[wire.HeaderSize:n]))
		p = p[n:]
	}
	return list
}

// sorted joins messages, ParameterStatus in a row sorted: their order differs
// by releases.
func sorted(list []string) string {
	list = append([]string(nil), list...)
	for i := range list {
		for k := i; k > 0 && strings.HasPrefix(list[k], "S ") && strings.HasPrefix(list[k-1], "S ") && list[k] < list[k-1]; k-- {
			list[k], list[k-1] = list[k-1], list[k]
		}
	}
	return strings.Join(list, "\n")
}

// modelReading shows a message without what the model does not know: texts of
// errors, process IDs, tables' OIDs and columns.
func modelReading(typ byte, body []byte) string {
	switch typ {
	case wire.ErrorResponse, wire.NoticeResponse:
		e, _ := wire.ParseError(body)
		text := fmt.Sprintf("%c %s %s", typ, e.Severity, e.Code)
		if e.Code == wire.CodeFeatureNotSupported && strings.Contains(string(body), "\x00RRevalidateCachedQuery\x00") {
			text += " RevalidateCachedQuery"
		}
		return text
	case wire.NotificationResponse:
		return fmt.Sprintf("A %q", body[4:])
	case wire.RowDescription:
		return "T" + columnsOf(body)
	}
	return fmt.Sprintf("%c %q", typ, body)
}

func columnsOf(body []byte) string {
	var b strings.Builder
	for body = body[2:]; len(body) > 0; {
		name, rest, _ := strings.Cut(string(body), "\x00")
		fmt.Fprintf(&b, " %s %x", name, rest[6:18])
		body = []byte(rest[18:])
	}
	return b.String()
}
