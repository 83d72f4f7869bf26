"""psycopg 3 at its defaults: statements are prepared at their fifth use."""
import datetime
import threading

import psycopg
from psycopg import errors
from steps import ASIDE, DATA, TAG, UNICODE, equal, raises, run


def one(c, sql, *args, **how):
    return c.execute(sql, args, **how).fetchone()[0]


def connect():
    global a, b
    a, b = psycopg.connect("", autocommit=True), psycopg.connect("", autocommit=True)


def both(step):
    def rounds():
        for _ in range(3):
            step(a, TAG + "a")
            step(b, TAG + "b")
    return rounds


@both
def types(c, _):
    when = datetime.datetime(2026, 3, 29, 1, 30, 0, 123456, datetime.timezone.utc)
    for binary in (False, True):
        with c.cursor(binary=binary) as cur:
            cur.execute("SELECT %s::bigint, %s::text, %s::text, %s::bytea, %s::timestamptz, %s::text[]",
                        (1 << 40, UNICODE, None, DATA, when, ["x", UNICODE]))
            equal(cur.fetchone(), (1 << 40, UNICODE, None, DATA, when, ["x", UNICODE]))


def prepared():
    for i in range(12):
        equal(one(a, "SELECT %s::int + 1", i), i + 1)
        equal(one(b, "SELECT %s::int + 2", i), i + 2)
        equal(one(a, "SELECT 'a' || %s::int", i, prepare=True), f"a{i}")
        equal(one(b, "SELECT 'b' || %s::int", i, prepare=True), f"b{i}")
    # More statements than psycopg keeps: it deallocates the oldest.
    for i in range(120):
        equal(one(a, f"SELECT {i} + %s::int", 1, prepare=True), i + 1)
    equal(one(a, "SELECT %s::int + 1", 1), 2)
    equal(one(b, "SELECT %s::int + 2", 1), 3)


@both
def transactions(c, table):
    c.execute(f"CREATE TABLE {table} (n int)")
    for i, undo in enumerate([False, True, False]):
        with c.transaction(force_rollback=undo):
            c.execute(f"INSERT INTO {table} VALUES (%s)", (i,))
            with c.transaction(force_rollback=True):  # a savepoint
                c.execute(f"INSERT INTO {table} VALUES (100)")
    with c.transaction(), c.cursor("held") as cur:
        cur.execute(f"SELECT n FROM {table} ORDER BY n")
        equal(cur.fetchall(), [(0,), (2,)])
    c.execute(f"DROP TABLE {table}")


@both
def pipeline(c, table):
    c.execute(f"CREATE TABLE {table} (n int)")
    with c.pipeline() as p:
        cursors = [c.execute("SELECT %s::int * 2", (i,)) for i in range(50)]
        equal([cur.fetchone()[0] for cur in cursors], [2 * i for i in range(50)])
        bad = c.execute("SELECT 1/%s::int", (0,))
        raises(errors.DivisionByZero, p.sync)
        equal(c.execute("SELECT 3").fetchone(), (3,))
    with c.cursor() as cur:
        cur.executemany(f"INSERT INTO {table} VALUES (%s)", [(i,) for i in range(200)])
    equal(one(c, f"SELECT count(*) FROM {table}"), 200)
    c.execute(f"DROP TABLE {table}")


@both
def copies(c, table):
    c.execute(f"CREATE TABLE {table} (n int, word text)")
    with c.cursor() as cur:
        with cur.copy(f"COPY {table} FROM STDIN") as copy:
            for i in range(5000):
                copy.write_row((i, UNICODE))

        def give_up():
            with cur.copy(f"COPY {table} FROM STDIN") as copy:
                copy.write_row((1, "bad"))
                raise KeyError("given up")
        raises(errors.QueryCanceled, give_up)
        with cur.copy(f"COPY {table} TO STDOUT") as copy:
            equal(sum(1 for row in copy.rows() if row[1] == UNICODE), 5000)
    c.execute(f"DROP TABLE {table}")


def cancel():
    for c, other in [(a, b), (b, a), (a, b)]:
        timer = threading.Timer(0.5, c.cancel)
        timer.start()
        raises(errors.QueryCanceled, c.execute, "SELECT pg_sleep(30)")
        timer.join()
        equal(one(other, "SELECT %s::int", 5), 5)
        equal(one(c, "SELECT %s::int", 6), 6)


def listen():
    got = []
    a.add_notify_handler(lambda n: got.append((n.channel, n.payload)))
    a.execute(f"LISTEN {TAG}")
    with psycopg.connect(dbname=ASIDE, autocommit=True) as aside:
        aside.execute("SELECT pg_notify(%s, %s)", (TAG, UNICODE))
    for _ in range(100):
        if got:
            break
        a.execute("SELECT pg_sleep(0.1)")
    equal(got, [(TAG, UNICODE)])
    a.execute("UNLISTEN *")
    equal(one(b, "SELECT count(*) FROM pg_listening_channels()"), 0)


def settings():
    want = {a: ("asia, public", "Asia/Tokyo"), b: ("amer, public", "America/New_York")}
    for c, (path, zone) in want.items():
        c.execute(f"SET search_path TO {path}")
        c.execute(f"SET TIME ZONE '{zone}'")
        c.execute("SELECT set_config('application_name', %s, false)", (zone,))
        c.execute("SET statement_timeout TO '1h'")
    for _ in range(6):
        for c, (path, zone) in want.items():
            equal([one(c, f"SHOW {name}") for name in ("search_path", "TimeZone", "application_name", "statement_timeout")],
                  [path, zone, zone, "1h"])
            equal(c.info.timezone.key, zone)
    a.execute("RESET ALL")
    equal(one(b, "SHOW statement_timeout"), "1h")
    equal(one(a, "SHOW statement_timeout"), "0")
    b.execute("RESET ALL")


@both
def failures(c, _):
    for sql, kind in [("SELECT 1/0", errors.DivisionByZero), ("SELEKT", errors.SyntaxError), ("SELECT * FROM nowhere", errors.UndefinedTable)]:
        raises(kind, c.execute, sql)
        equal(one(c, "SELECT %s::int", 7), 7)

    def failed():
        with c.transaction():
            raises(errors.DivisionByZero, c.execute, "SELECT 1/%s::int", (0,))
            c.execute("SELECT 1")
    raises(errors.InFailedSqlTransaction, failed)
    equal(one(c, "SELECT %s::int", 8), 8)


def reconnect():
    raises(errors.DivisionByZero, a.execute, "SELECT 1/0")
    a.close()
    b.close()
    connect()
    equal((one(a, "SELECT %s::int", 9), one(b, "SELECT %s::int", 9)), (9, 9))
    a.close()
    b.close()


print("version", psycopg.__version__)
run("connect", connect)
run("types", types)
run("prepared", prepared)
run("transactions", transactions)
run("pipeline", pipeline)
run("copy", copies)
run("cancel", cancel)
run("listen", listen)
run("settings", settings)
run("errors", failures)
run("reconnect", reconnect)
