"""psycopg2 at its defaults: simple protocol, BEGIN before the first statement."""
import datetime
import io
import select
import threading

import psycopg2
from psycopg2 import errors
from steps import ASIDE, DATA, TAG, UNICODE, equal, missing, raises, run


def one(c, sql, *args):
    with c.cursor() as cur:
        cur.execute(sql, args)
        return cur.fetchone()[0]


def execute(c, sql, *args):
    with c.cursor() as cur:
        cur.execute(sql, args)


def connect():
    global a, b
    a, b = psycopg2.connect(""), psycopg2.connect("")
    a.autocommit = b.autocommit = True


def both(step):
    def rounds():
        for _ in range(3):
            step(a, TAG + "a")
            step(b, TAG + "b")
    return rounds


@both
def types(c, _):
    when = datetime.datetime(2026, 3, 29, 1, 30, 0, 123456, datetime.timezone.utc)
    with c.cursor() as cur:
        cur.execute("SELECT %s::bigint, %s, %s::text, %s::bytea, %s::timestamptz, %s::text[]",
                    (1 << 40, UNICODE, None, DATA, when, ["x", UNICODE]))
        n, word, null, data, at, items = cur.fetchone()
    equal((n, word, null, bytes(data), at, items), (1 << 40, UNICODE, None, DATA, when, ["x", UNICODE]))


def prepared():
    """psycopg2 has no call for it; its users write PREPARE themselves."""
    execute(a, "PREPARE mine(int) AS SELECT $1 + 1")
    for i in range(12):
        equal(one(a, "EXECUTE mine(%s)", i), i + 1)
    execute(a, "DEALLOCATE mine")
    execute(b, "PREPARE mine(int) AS SELECT $1 + 2")
    equal(one(b, "EXECUTE mine(%s)", 1), 3)
    execute(b, "DEALLOCATE ALL")


@both
def transactions(c, table):
    execute(c, f"CREATE TABLE {table} (n int)")
    c.autocommit = False
    for i, end in enumerate([c.commit, c.rollback, c.commit]):
        execute(c, f"INSERT INTO {table} VALUES (%s)", i)
        end()
    with c, c.cursor("held") as cur:  # a cursor of the server
        cur.execute(f"SELECT n FROM {table} ORDER BY n")
        equal(cur.fetchall(), [(0,), (2,)])
    c.autocommit = True
    execute(c, f"DROP TABLE {table}")


@both
def copies(c, table):
    execute(c, f"CREATE TABLE {table} (n int, word text)")
    with c.cursor() as cur:
        cur.copy_expert(f"COPY {table} FROM STDIN", io.StringIO("".join(f"{i}\t{UNICODE}\n" for i in range(5000))))
        raises(errors.InvalidTextRepresentation, cur.copy_expert, f"COPY {table} FROM STDIN", io.StringIO("bad\trow\n"))
        out = io.StringIO()
        cur.copy_expert(f"COPY {table} TO STDOUT", out)
    equal(out.getvalue().count(UNICODE), 5000)
    execute(c, f"DROP TABLE {table}")


def cancel():
    for c, other in [(a, b), (b, a), (a, b)]:
        timer = threading.Timer(0.5, c.cancel)
        timer.start()
        raises(errors.QueryCanceled, execute, c, "SELECT pg_sleep(30)")
        timer.join()
        equal(one(other, "SELECT 5"), 5)
        equal(one(c, "SELECT 6"), 6)


def listen():
    aside = psycopg2.connect(dbname=ASIDE)
    aside.autocommit = True
    execute(a, f"LISTEN {TAG}")
    execute(aside, "SELECT pg_notify(%s, %s)", TAG, UNICODE)
    select.select([a], [], [], 10)
    a.poll()
    equal([(n.channel, n.payload) for n in a.notifies], [(TAG, UNICODE)])
    execute(a, "UNLISTEN *")
    equal(one(b, "SELECT count(*) FROM pg_listening_channels()"), 0)
    aside.close()


def settings():
    want = {a: ("asia, public", "Asia/Tokyo"), b: ("amer, public", "America/New_York")}
    for c, (path, zone) in want.items():
        execute(c, f"SET search_path TO {path}")
        execute(c, "SET TIME ZONE %s", zone)
        execute(c, "SELECT set_config('application_name', %s, false)", zone)
        execute(c, "SET statement_timeout TO '1h'")
    for _ in range(5):
        for c, (path, zone) in want.items():
            equal([one(c, f"SHOW {name}") for name in ("search_path", "TimeZone", "application_name", "statement_timeout")],
                  [path, zone, zone, "1h"])
            equal(c.get_parameter_status("TimeZone"), zone)
    c.set_session(isolation_level="SERIALIZABLE")
    equal(one(b, "SHOW default_transaction_isolation"), "serializable")
    equal(one(a, "SHOW default_transaction_isolation"), "read committed")
    execute(a, "RESET ALL")
    equal(one(b, "SHOW statement_timeout"), "1h")
    equal(one(a, "SHOW statement_timeout"), "0")
    b.reset()
    b.autocommit = True
    equal(one(b, "SHOW statement_timeout"), "0")


@both
def failures(c, _):
    for sql, kind in [("SELECT 1/0", errors.DivisionByZero), ("SELEKT", errors.SyntaxError), ("SELECT * FROM nowhere", errors.UndefinedTable)]:
        raises(kind, execute, c, sql)
        equal(one(c, "SELECT 7"), 7)
    c.autocommit = False
    raises(errors.DivisionByZero, execute, c, "SELECT 1/0")
    raises(errors.InFailedSqlTransaction, execute, c, "SELECT 1")
    c.rollback()
    c.autocommit = True
    equal(one(c, "SELECT 8"), 8)


def reconnect():
    raises(errors.DivisionByZero, execute, a, "SELECT 1/0")
    a.close()
    b.close()
    connect()
    equal((one(a, "SELECT 9"), one(b, "SELECT 9")), (9, 9))
    a.close()
    b.close()


print("version", psycopg2.__version__.split()[0])
run("connect", connect)
run("types", types)
run("prepared", prepared)
run("transactions", transactions)
missing("pipeline", "psycopg2 has none")
run("copy", copies)
run("cancel", cancel)
run("listen", listen)
run("settings", settings)
run("errors", failures)
run("reconnect", reconnect)
