package console

import (
	"context"
	"errors"
	"strings"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
)

// answer is the result of a statement.
type answer struct {
	rows   []row
	tag    string      // of CommandComplete
	notice *wire.Error // sent before it; nil: none
}

// plan is a statement that was understood. Its columns are known before it
// runs, so that clients can ask for them; nil means no rows.
type plan struct {
	columns []Column
	// ends is set for what a failed transaction may still run.
	ends bool
	run  func(ctx context.Context, s *session) (answer, error)
}

// understand finds what a statement means.
func understand(st statement) (plan, *wire.Error) {
	if c, args, ok := find(st); ok {
		return c.plan(args)
	}
	switch {
	case st.is("SHOW"):
		return planParameter(st[1:])
	case st.is("SET"):
		return planSet(st[1:])
	case st.is("SELECT"):
		return planSelect(st[1:])
	}
	if p, ok := planSession(st); ok {
		return p, nil
	}
	if st[0].kind == word && len(st[0].text) < 30 {
		return plan{}, syntaxError(`invalid command "` + strings.ToUpper(st[0].text) + `"`)
	}
	return plan{}, syntaxError("invalid command")
}

// find returns the command of the table that a statement begins with, the
// longest name first, and the tokens behind it.
func find(st statement) (c *Command, args statement, ok bool) {
	longest := 0
	for i := range commands {
		words := strings.Fields(commands[i].Name)
		if commands[i].grammar == nil && len(words) > longest && st.names(words) {
			c, args, longest = &commands[i], st[len(words):], len(words)
		}
	}
	return c, args, c != nil
}

// plan checks the arguments of a command.
func (c *Command) plan(args statement) (plan, *wire.Error) {
	var list []string
	for _, t := range args {
		if t.kind == mark || t.text == "" { // an empty name must not stand for all
			return plan{}, c.usage()
		}
		list = append(list, t.text)
	}
	least, most := 0, 0
	switch {
	case strings.HasPrefix(c.Args, "["):
		most = 1
	case c.Args != "":
		least, most = 1, 1
	}
	if len(list) < least || len(list) > most {
		return plan{}, c.usage()
	}
	return plan{columns: c.Columns, run: func(ctx context.Context, s *session) (answer, error) {
		return s.command(ctx, c, list)
	}}, nil
}

func (c *Command) usage() *wire.Error {
	return syntaxError("usage: " + strings.TrimSpace(c.Name+" "+c.Args))
}

// command runs a command of the table, if the user may.
func (s *session) command(ctx context.Context, c *Command, args []string) (answer, error) {
	if err := s.console.permits(s.client.User, c); err != nil {
		s.client.Audit(c.Name, strings.Join(args, " "), err)
		return answer{}, err
	}
	a, err := c.run(ctx, s.console, args)
	if c.Admin {
		s.client.Audit(c.Name, strings.Join(args, " "), err)
	}
	if a.tag == "" {
		a.tag, _, _ = strings.Cut(c.Name, " ")
	}
	return a, err
}

// permits returns why a user may not run the command, or nil. It is called each
// time, because a reload may have revoked the right.
func (c *Console) permits(user string, command *Command) *wire.Error {
	role := c.sources.Config.Role(user)
	if role == Admin || role == Stats && !command.Admin {
		return nil
	}
	return &wire.Error{
		Severity: "ERROR", Code: wire.CodeInsufficientPrivilege, Message: "permission denied for " + command.Name + ": admin access needed",
		Hint: "Only roles in admin.users of the connection pooler's configuration may run it.",
	}
}

// asError returns the error that the client gets.
func (s *session) asError(err error) *wire.Error {
	var e *wire.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, context.Canceled):
		e = &wire.Error{Code: wire.CodeQueryCanceled, Message: "canceling statement due to user request"}
	default:
		s.console.log.Error("console command failed", zap.Uint64("client", s.client.ID), zap.Error(err))
		e = wire.AsError(err)
	}
	told := *e
	told.Severity = "ERROR"
	return &told
}
