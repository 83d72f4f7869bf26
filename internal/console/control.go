package console

import (
	"context"
	"slices"
	"strconv"

	"github.com/pgseal/pgseal/internal/wire"
)

// control makes a command that does something, for admin.users.
func control(name, args, summary string, do func(ctx context.Context, c *Console, arg string) error) Command {
	return Command{
		Name: name, Args: args, Summary: summary, Admin: true,
		run: func(ctx context.Context, c *Console, args []string) (answer, error) {
			arg := ""
			if len(args) > 0 {
				arg = args[0]
			}
			return answer{}, do(ctx, c, arg)
		},
	}
}

// ofDatabase is control for what concerns one database, or all.
func ofDatabase(name, args, summary string, do func(ctx context.Context, c *Console, database string) error) Command {
	return control(name, args, summary, func(ctx context.Context, c *Console, database string) error {
		if slices.Contains(Names, database) {
			return &wire.Error{Code: wire.CodeInvalidParameter, Message: name + " does not apply to the database of the console"}
		}
		return do(ctx, c, database)
	})
}

var setUsage = "key = value"

var setCommand = Command{
	Name: "SET", Args: setUsage, Admin: true, grammar: &setUsage,
	Summary: "change a setting until the next RELOAD, or restart; SHOW CONFIG says which are changeable",
}

// errHeld is PgBouncer's, of a command that PAUSE or SUSPEND forbids.
var errHeld = &wire.Error{Code: wire.CodeNotInState, Message: "already suspended/paused"}

func controlCommands() []Command {
	return []Command{
		control("RELOAD", "", "read the configuration and all files that it names again; an error says what was refused", func(_ context.Context, c *Console, _ string) error {
			if err := c.act.Process.Reload(); err != nil {
				return &wire.Error{Code: wire.CodeConfigFile, Message: "RELOAD failed: " + err.Error(), Hint: "What was refused stays as it was."}
			}
			return nil
		}),
		ofDatabase("PAUSE", "[db]", "lend no server any more, and return when all have come back and ended; clients wait, none is cut off",
			func(ctx context.Context, c *Console, db string) error {
				if c.sources.Clients.Suspended() {
					return errHeld
				}
				return c.act.Pools.Pause(ctx, db)
			}),
		control("SUSPEND", "", "read nothing of clients and servers any more, and return when all that was read has been sent on; who logs in waits",
			func(ctx context.Context, c *Console, _ string) error {
				if c.sources.Pools.Paused() {
					return errHeld
				}
				return c.act.Clients.Suspend(ctx)
			}),
		ofDatabase("RESUME", "[db]", "undo PAUSE and KILL; without a name SUSPEND too", func(_ context.Context, c *Console, db string) error {
			if db == "" && c.act.Clients.Unsuspend() {
				return nil
			}
			return c.act.Pools.Resume(db)
		}),
		ofDatabase("DISABLE", "db", "let no new client in to the database",
			func(_ context.Context, c *Console, db string) error { return c.act.Pools.Enable(db, false) }),
		ofDatabase("ENABLE", "db", "undo DISABLE",
			func(_ context.Context, c *Console, db string) error { return c.act.Pools.Enable(db, true) }),
		ofDatabase("RECONNECT", "[db]", "end each server when it comes back, and the idle ones now",
			func(_ context.Context, c *Console, db string) error { return c.act.Pools.Reconnect(db) }),
		ofDatabase("KILL", "[db]", "end all clients and servers now; new clients wait for RESUME", func(_ context.Context, c *Console, db string) error {
			if err := c.act.Pools.PauseNow(db); err != nil {
				return err
			}
			c.act.Clients.KillAll(db)
			return nil
		}),
		control("KILL_CLIENT", "id", "end the client with this id of SHOW CLIENTS, and cancel what runs for it", func(_ context.Context, c *Console, arg string) error {
			id, err := strconv.ParseUint(arg, 10, 64)
			if err != nil {
				return &wire.Error{Code: wire.CodeInvalidParameter, Message: "invalid client id", Hint: "It is the column id of SHOW CLIENTS."}
			}
			if !c.act.Clients.Kill(id) {
				return &wire.Error{Code: wire.CodeUndefinedObject, Message: "client not found"}
			}
			return nil
		}),
		ofDatabase("WAIT_CLOSE", "[db]", "return when no server is left that RECONNECT or a reload has told to end",
			func(ctx context.Context, c *Console, db string) error { return c.act.Pools.WaitClose(ctx, db) }),
		shutdown("SHUTDOWN", "end the process at once", StopNow),
		shutdown("SHUTDOWN WAIT_FOR_SERVERS", "accept nobody any more, let transactions end, then end the process", StopForServers),
		shutdown("SHUTDOWN WAIT_FOR_CLIENTS", "accept nobody any more, and end the process when the last client has left", StopForClients),
		setCommand,
	}
}

func shutdown(name, summary string, how Stop) Command {
	return control(name, "", summary, func(_ context.Context, c *Console, _ string) error {
		c.act.Process.Shutdown(how)
		return nil
	})
}
