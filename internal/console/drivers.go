package console

import (
	"context"
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
)

// What drivers send on their own is answered as PostgreSQL would, as far as
// that makes sense without tables.

// says returns a plan that does nothing but answer.
func says(tag string, columns []Column, rows ...row) plan {
	return plan{columns: columns, run: func(context.Context, *session) (answer, error) {
		return answer{rows: rows, tag: tag}, nil
	}}
}

// parameters are PostgreSQL's that clients ask for or set, in lower case, with
// the values that SHOW returns. Setting them changes nothing.
var parameters = map[string]string{
	"application_name": "", "bytea_output": "hex", "client_encoding": "UTF8", "client_min_messages": "notice",
	"datestyle": "ISO, MDY", "default_transaction_isolation": "read committed", "default_transaction_read_only": "off",
	"extra_float_digits": "1", "idle_in_transaction_session_timeout": "0", "integer_datetimes": "on", "intervalstyle": "postgres",
	"is_superuser": "on", "lc_collate": "C", "lc_ctype": "C", "lc_messages": "C", "lc_monetary": "C", "lc_numeric": "C", "lc_time": "C",
	"lock_timeout": "0", "max_identifier_length": "63", "role": "none", "search_path": "", "server_encoding": "UTF8",
	"server_version": serverVersion, "server_version_num": "150000", "session_authorization": "", "standard_conforming_strings": "on",
	"statement_timeout": "0", "synchronous_commit": "on", "timezone": "GMT", "transaction_isolation": "read committed",
	"transaction_read_only": "off", "transaction_timeout": "0", "xmloption": "content", "jit": "off", "row_security": "on",
}

// readOnly are the parameters that cannot be set in PostgreSQL.
var readOnly = []string{"integer_datetimes", "is_superuser", "max_identifier_length", "server_encoding", "server_version", "server_version_num"}

// planParameter plans SHOW of a parameter of PostgreSQL's.
func planParameter(args statement) (plan, *wire.Error) {
	name := ""
	switch {
	case args.is("TRANSACTION", "ISOLATION", "LEVEL") && len(args) == 3:
		name = "transaction_isolation"
	case args.is("TIME", "ZONE") && len(args) == 2:
		name = "timezone"
	case len(args) == 1 && args[0].kind != mark:
		name = args[0].text
	}
	value, ok := parameters[strings.ToLower(name)]
	if !ok {
		return plan{}, syntaxError("invalid SHOW command")
	}
	return says("SHOW", []Column{{strings.ToLower(name), Text}}, row{value}), nil
}

// planSet plans SET: of a parameter of PostgreSQL's, which is taken and
// ignored, or of a setting of the pooler.
func planSet(args statement) (plan, *wire.Error) {
	ignored := says("SET", nil)
	switch {
	case args.is("NAMES"), args.is("TIME", "ZONE"), args.is("TRANSACTION"), args.is("SESSION", "CHARACTERISTICS"):
		return ignored, nil
	case args.is("SESSION") || args.is("LOCAL"):
		args = args[1:]
	}
	if len(args) < 3 || args[0].kind == mark || !args[1].is("=") && !args[1].is("TO") {
		return plan{}, syntaxError("usage: SET key = value")
	}
	key := strings.ToLower(args[0].text)
	if _, known := parameters[key]; known {
		switch {
		case slices.Contains(readOnly, key):
			return plan{}, &wire.Error{Code: wire.CodeCantChange, Message: `parameter "` + key + `" cannot be changed`}
		case key == "client_encoding" && !isUTF8(args[2].text):
			return plan{}, &wire.Error{Code: wire.CodeInvalidParameter, Message: "the console supports only UTF8"}
		}
		return ignored, nil
	}
	if len(args) != 3 || args[2].kind == mark {
		return plan{}, syntaxError("usage: SET key = value")
	}
	return plan{run: func(_ context.Context, s *session) (answer, error) {
		if err := s.console.permits(s.client.User, &setCommand); err != nil {
			s.client.Audit(setCommand.Name, key, err)
			return answer{}, err
		}
		err := s.console.act.Process.Set(key, args[2].text)
		s.client.Audit(setCommand.Name, key, err) // a value may be SQL
		return answer{tag: "SET"}, err
	}}, nil
}

func isUTF8(name string) bool {
	switch strings.ToUpper(strings.NewReplacer("-", "", "_", "").Replace(name)) {
	case "UTF8", "UNICODE", "SQLASCII":
		return true
	}
	return false
}

// planSession plans what is about transactions and sessions. The console has
// nothing that could be rolled back, but says what a client expects.
func planSession(st statement) (plan, bool) {
	turn := func(tag string, to byte, ends bool) (plan, bool) {
		return plan{ends: ends, run: func(_ context.Context, s *session) (answer, error) {
			if tag == "COMMIT" && s.status == wire.StatusFailed {
				tag = "ROLLBACK"
			}
			s.status = to
			return answer{tag: tag}, nil
		}}, true
	}
	switch {
	case st.is("BEGIN"):
		return turn("BEGIN", wire.StatusInTransaction, false)
	case st.is("START", "TRANSACTION"):
		return turn("START TRANSACTION", wire.StatusInTransaction, false)
	case st.is("ROLLBACK", "TO"):
		return turn("ROLLBACK", wire.StatusInTransaction, true)
	case st.is("COMMIT"), st.is("END"):
		return turn("COMMIT", wire.StatusIdle, true)
	case st.is("ROLLBACK"), st.is("ABORT"):
		return turn("ROLLBACK", wire.StatusIdle, true)
	case st.is("DISCARD", "ALL"):
		return forget("DISCARD ALL", true, ""), true
	case st.is("DEALLOCATE", "ALL"), st.is("DEALLOCATE", "PREPARE", "ALL"):
		return forget("DEALLOCATE ALL", true, ""), true
	case st.is("DEALLOCATE") && len(st) > 1:
		return forget("DEALLOCATE", false, st[len(st)-1].text), true
	}
	for _, tag := range []string{"SAVEPOINT", "RELEASE", "RESET", "UNLISTEN"} {
		if st.is(tag) {
			return says(tag, nil), true
		}
	}
	return plan{}, false
}

// forget plans the end of prepared statements.
func forget(tag string, all bool, name string) plan {
	return plan{run: func(_ context.Context, s *session) (answer, error) {
		if all {
			clear(s.prepared)
		} else {
			delete(s.prepared, name)
		}
		return answer{tag: tag}, nil
	}}
}
