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
			return &wire.Error{Code: wire.CodeInvalidParameter, Message: name + " is not supported for the console database"}
		}
		return do(ctx, c, database)
	})
}

var setUsage = "key = value"

var setCommand = Command{
	Name: "SET", Args: setUsage, Admin: true, grammar: &setUsage,
	Summary: "change a setting until the next RELOAD or restart; SHOW CONFIG lists which are changeable",
}

// errHeld is PgBouncer's, of a command that PAUSE or SUSPEND forbids.
var errHeld = &wire.Error{Code: wire.CodeNotInState, Message: "already suspended/paused"}

func controlCommands() []Command {
	return []Command{
		control("RELOAD", "", "reload the configuration and all files it references; errors are reported and change nothing", func(_ context.Context, c *Console, _ string) error {
			if err := c.act.Process.Reload(); err != nil {
				return &wire.Error{Code: wire.CodeConfigFile, Message: "RELOAD failed: " + err.Error(), Hint: "Whatever contains errors was not reloaded."}
			}
			return nil
		}),
		ofDatabase("PAUSE", "[db]", "stop assigning server connections, wait until all are released and closed; clients queue until RESUME",
			func(ctx context.Context, c *Console, db string) error {
				if c.sources.Clients.Suspended() {
					return errHeld
				}
				return c.act.Pools.Pause(ctx, db)
			}),
		control("SUSPEND", "", "stop reading from all sockets, wait until all buffers are flushed; logins wait until RESUME",
			func(ctx context.Context, c *Console, _ string) error {
				if c.sources.Pools.Paused() {
					return errHeld
				}
				return c.act.Clients.Suspend(ctx)
			}),
		ofDatabase("RESUME", "[db]", "undo PAUSE and KILL, and without a name SUSPEND too", func(_ context.Context, c *Console, db string) error {
			if db == "" && c.act.Clients.Unsuspend() {
				return nil
			}
			return c.act.Pools.Resume(db)
		}),
		ofDatabase("DISABLE", "db", "reject new clients of the database",
			func(_ context.Context, c *Console, db string) error { return c.act.Pools.Enable(db, false) }),
		ofDatabase("ENABLE", "db", "undo DISABLE",
			func(_ context.Context, c *Console, db string) error { return c.act.Pools.Enable(db, true) }),
		ofDatabase("RECONNECT", "[db]", "close idle server connections now and the others when they are released",
			func(_ context.Context, c *Console, db string) error { return c.act.Pools.Reconnect(db) }),
		ofDatabase("KILL", "[db]", "close all client and server connections now; new clients wait until RESUME", func(_ context.Context, c *Console, db string) error {
			if err := c.act.Pools.PauseNow(db); err != nil {
				return err
			}
			c.act.Clients.KillAll(db)
			return nil
		}),
		control("KILL_CLIENT", "id", "close the client connection with this id in SHOW CLIENTS and cancel its query", func(_ context.Context, c *Console, arg string) error {
			id, err := strconv.ParseUint(arg, 10, 64)
			if err != nil {
				return &wire.Error{Code: wire.CodeInvalidParameter, Message: "invalid client id", Hint: "Use the column id of SHOW CLIENTS."}
			}
			if !c.act.Clients.Kill(id) {
				return &wire.Error{Code: wire.CodeUndefinedObject, Message: "client not found"}
			}
			return nil
		}),
		ofDatabase("WAIT_CLOSE", "[db]", "wait until all server connections that RECONNECT or a reload marked for closing are closed",
			func(ctx context.Context, c *Console, db string) error { return c.act.Pools.WaitClose(ctx, db) }),
		shutdown("SHUTDOWN", "shut down immediately", StopNow),
		shutdown("SHUTDOWN WAIT_FOR_SERVERS", "stop accepting clients, wait for transactions to finish, then shut down", StopForServers),
		shutdown("SHUTDOWN WAIT_FOR_CLIENTS", "stop accepting clients, wait for all of them to disconnect, then shut down", StopForClients),
		setCommand,
	}
}

func shutdown(name, summary string, how Stop) Command {
	return control(name, "", summary, func(_ context.Context, c *Console, _ string) error {
		c.act.Process.Shutdown(how)
		return nil
	})
}
