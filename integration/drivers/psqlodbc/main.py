"""psqlODBC at its defaults, by pyodbc: statements with parameters are prepared
on the server, and a failed statement is undone by a savepoint."""
import datetime
import os
import threading
import time

import pyodbc
from steps import DATA, TAG, UNICODE, equal, missing, run

e = os.environ


def open_one():
    return pyodbc.connect(f"Driver={{PostgreSQL Unicode}};Servername={e['PGHOST']};Port={e['PGPORT']};Database={e['PGDATABASE']};"
                          f"UID={e['PGUSER']};PWD={e['PGPASSWORD']};SSLmode=verify-full;pqopt={{sslrootcert={e['PGSSLROOTCERT']}}}",
                          autocommit=True)


def connect():
    global a, b
    a, b = open_one(), open_one()


def one(c, sql, *args):
    cur = c.cursor()  # not by "with", which commits
    try:
        return cur.execute(sql, *args).fetchone()[0]
    finally:
        cur.close()


def execute(c, sql, *args):
    cur = c.cursor()
    try:
        cur.execute(sql, *args)
    finally:
        cur.close()


def fails(state, call, *args):
    try:
        call(*args)
    except pyodbc.Error as error:
        equal(error.args[0], state)
        return
    raise AssertionError(f"no error, want {state}")


def both(step):
    def rounds():
        for _ in range(3):
            step(a, TAG + "a")
            step(b, TAG + "b")
    return rounds


@both
def types(c, _):
    at = datetime.datetime(2026, 3, 29, 1, 30, 0, 123456)
    with c.cursor() as cur:
        row = cur.execute("SELECT ?::bigint, ?::text, ?::text, ?::bytea, ?::timestamp", 1 << 40, UNICODE, None, DATA, at).fetchone()
    equal(tuple(row), (1 << 40, UNICODE, None, DATA, at))


def prepared():
    one_, two = a.cursor(), b.cursor()
    for i in range(12):
        equal(one_.execute("SELECT ?::int + 1", i).fetchone()[0], i + 1)
        equal(two.execute("SELECT ?::int + 2", i).fetchone()[0], i + 2)
        equal(one(a, "SELECT 'a' || ?::int", i), f"a{i}")
        equal(one(b, "SELECT 'b' || ?::int", i), f"b{i}")
    one_.close()
    equal(two.execute("SELECT ?::int + 2", 1).fetchone()[0], 3)
    two.close()


@both
def transactions(c, table):
    execute(c, f"CREATE TABLE {table} (n int)")
    c.autocommit = False
    for i, end in enumerate([c.commit, c.rollback, c.commit]):
        execute(c, f"INSERT INTO {table} VALUES (?)", i)
        end()
    c.autocommit = True
    equal(one(c, f"SELECT string_agg(n::text, ' ' ORDER BY n) FROM {table}"), "0 2")
    execute(c, f"DROP TABLE {table}")


@both
def pipeline(c, table):
    """executemany with arrays of parameters: one batch for the driver."""
    execute(c, f"CREATE TABLE {table} (n int)")
    with c.cursor() as cur:
        cur.fast_executemany = True
        cur.executemany(f"INSERT INTO {table} VALUES (?)", [(i,) for i in range(200)])
    equal(one(c, f"SELECT count(*) FROM {table}"), 200)
    execute(c, f"DROP TABLE {table}")


def cancel():
    for c, other in [(a, b), (b, a), (a, b)]:
        cur = c.cursor()

        def later():
            time.sleep(0.5)
            cur.cancel()
        timer = threading.Thread(target=later)
        timer.start()
        fails("57014", cur.execute, "SELECT pg_sleep(30)")
        timer.join()
        cur.close()
        equal(one(other, "SELECT ?::int", 5), 5)
        equal(one(c, "SELECT ?::int", 6), 6)


def settings():
    want = {a: ("asia, public", "Asia/Tokyo"), b: ("amer, public", "America/New_York")}
    for c, (path, zone) in want.items():
        execute(c, f"SET search_path TO {path}; SET TIME ZONE '{zone}'")
        one(c, "SELECT set_config('application_name', ?, false)", zone)
        execute(c, "SET statement_timeout TO '1h'")
    for _ in range(5):
        for c, (path, zone) in want.items():
            equal([one(c, f"SHOW {name}") for name in ("search_path", "TimeZone", "application_name", "statement_timeout")],
                  [path, zone, zone, "1h"])
    execute(a, "RESET ALL")
    equal(one(b, "SHOW statement_timeout"), "1h")
    equal(one(a, "SHOW statement_timeout"), "0")
    execute(b, "RESET ALL")


@both
def failures(c, _):
    for sql, state in [("SELECT 1/0", "22012"), ("SELEKT", "42601"), ("SELECT * FROM nowhere", "42P01")]:
        fails(state, one, c, sql)
        equal(one(c, "SELECT ?::int", 7), 7)
    c.autocommit = False
    execute(c, "SELECT 1")
    fails("22012", one, c, "SELECT 1/?::int", 0)
    c.rollback()
    c.autocommit = True
    equal(one(c, "SELECT ?::int", 8), 8)


def reconnect():
    fails("22012", one, a, "SELECT 1/0")
    a.close()
    b.close()
    connect()
    equal((one(a, "SELECT ?::int", 9), one(b, "SELECT ?::int", 9)), (9, 9))
    a.close()
    b.close()


pyodbc.pooling = False
run("connect", connect)
print("version", a.getinfo(pyodbc.SQL_DRIVER_VER))
run("types", types)
run("prepared", prepared)
run("transactions", transactions)
run("pipeline", pipeline)
missing("copy", "ODBC has none")
run("cancel", cancel)
missing("listen", "ODBC has no notifications")
run("settings", settings)
run("errors", failures)
run("reconnect", reconnect)
