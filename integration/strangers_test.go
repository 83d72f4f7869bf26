package integration

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// exchange sends messages as they are and returns what is answered until the
// server is ready as often as was asked for, in short.
func exchange(t *testing.T, conn *pgx.Conn, readies int, messages ...pgproto3.FrontendMessage) (said []string) {
	t.Helper()
	front := conn.PgConn().Frontend()
	for _, m := range messages {
		front.Send(m)
	}
	if err := front.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for readies > 0 {
		m, err := conn.PgConn().ReceiveMessage(ctx)
		if err != nil {
			t.Fatalf("after %q: %v", said, err)
		}
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			readies--
			said = append(said, "ready "+string(m.TxStatus))
		case *pgproto3.ErrorResponse:
			said = append(said, "error "+m.Code)
		case *pgproto3.DataRow:
			said = append(said, fmt.Sprintf("row %s", m.Values))
		case *pgproto3.CommandComplete:
			said = append(said, string(m.CommandTag))
		case *pgproto3.ParameterStatus, *pgproto3.NoticeResponse:
		default:
			said = append(said, fmt.Sprintf("%T", m)[len("*pgproto3."):])
		}
	}
	return said
}

func saidIs(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func ask(sql string) []pgproto3.FrontendMessage { // unnamed
	return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}
}

func TestAFunctionCallThatSetsAParameterReachesNobodyElse(t *testing.T) {
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		other := p.simple(t, "")
		for _, name := range []string{"search_path", "app.tenant"} {
			conn := p.simple(t, "")
			exchange(t, conn, 1, &pgproto3.FunctionCall{Function: 2078, ArgFormatCodes: []uint16{0}, Arguments: [][]byte{[]byte(name), []byte("evil"), []byte("f")}})
			for range 2 * servers {
				stranger(t, other, "SELECT coalesce(current_setting('"+name+"', true), '') = 'evil'", "f")
			}
		}
	})
}
