"""SQLAlchemy at its defaults: psycopg2 below, and its own pool of connections."""
import datetime
import io
import select
import threading

import sqlalchemy
from sqlalchemy import ARRAY, BigInteger, Column, DateTime, Integer, LargeBinary, MetaData, Table, Text, event, exc, text
from sqlalchemy.orm import Session
from steps import ASIDE, DATA, TAG, UNICODE, equal, missing, raises, run

URL = "postgresql://"


def connect():
    global a, b
    a, b = sqlalchemy.create_engine(URL, future=True), sqlalchemy.create_engine(URL, future=True)
    for e in (a, b):
        equal(one(e, "SELECT 1"), 1)


def one(e, sql, **args):
    with e.connect() as c:
        return c.execute(text(sql), args).scalar()


def both(step):
    def rounds():
        for _ in range(3):
            step(a, TAG + "a")
            step(b, TAG + "b")
    return rounds


@both
def types(e, name):
    """The ORM's own table, with what a round trip through it keeps."""
    meta = MetaData()
    table = Table(name, meta, Column("id", Integer, primary_key=True), Column("n", BigInteger), Column("word", Text),
                  Column("null", Text), Column("data", LargeBinary), Column("at", DateTime(timezone=True)), Column("list", ARRAY(Text)))
    meta.create_all(e)
    when = datetime.datetime(2026, 3, 29, 1, 30, 0, 123456, datetime.timezone.utc)
    row = {"n": 1 << 40, "word": UNICODE, "null": None, "data": DATA, "at": when, "list": ["x", UNICODE]}
    with e.begin() as c:
        equal(c.execute(table.insert().returning(table.c.id), row).scalar(), 1)
        c.execute(table.insert(), [row] * 50)
    with e.connect() as c:
        rows = c.execute(table.select()).fetchall()
    equal(len(rows), 51)
    got = rows[50]._mapping
    equal({k: bytes(got[k]) if k == "data" else got[k] for k in row}, row)
    meta.drop_all(e)


@both
def transactions(e, table):
    with e.begin() as c:
        c.execute(text(f"CREATE TABLE {table} (n int)"))
    with Session(e) as s:
        for i, end in enumerate([s.commit, s.rollback, s.commit]):
            s.execute(text(f"INSERT INTO {table} VALUES (:n)"), {"n": i})
            nested = s.begin_nested()
            s.execute(text(f"INSERT INTO {table} VALUES (100)"))
            nested.rollback()
            end()
    with e.connect().execution_options(isolation_level="SERIALIZABLE") as c:
        equal(c.execute(text("SHOW transaction_isolation")).scalar(), "serializable")
        equal(c.execute(text(f"SELECT n FROM {table} ORDER BY n")).fetchall(), [(0,), (2,)])
    equal(one(e, "SHOW transaction_isolation"), "read committed")
    with e.connect() as c:
        stream = c.execution_options(stream_results=True).execute(text("SELECT generate_series(1, 5000)"))
        equal(sum(r[0] for r in stream), 12502500)
    with e.begin() as c:
        c.execute(text(f"DROP TABLE {table}"))


@both
def copies(e, table):
    """By the driver's connection below, as its users do."""
    raw = e.raw_connection()
    cur = raw.cursor()
    cur.execute(f"CREATE TABLE {table} (n int, word text)")
    cur.copy_expert(f"COPY {table} FROM STDIN", io.StringIO("".join(f"{i}\t{UNICODE}\n" for i in range(5000))))
    raw.commit()
    out = io.StringIO()
    cur.copy_expert(f"COPY {table} TO STDOUT", out)
    equal(out.getvalue().count(UNICODE), 5000)
    cur.execute(f"DROP TABLE {table}")
    raw.commit()
    raw.close()


def cancel():
    for e, other in [(a, b), (b, a)]:
        with e.connect() as c:
            timer = threading.Timer(0.5, c.connection.dbapi_connection.cancel)
            timer.start()
            raises(exc.OperationalError, c.execute, text("SELECT pg_sleep(30)"))
            timer.join()
            c.rollback()
            equal(one(other, "SELECT 5"), 5)
            equal(c.execute(text("SELECT 6")).scalar(), 6)


def listen():
    aside = sqlalchemy.create_engine(URL + "/" + ASIDE, future=True)
    with a.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
        c.execute(text(f"LISTEN {TAG}"))
        with aside.begin() as other:
            other.execute(text("SELECT pg_notify(:c, :p)"), {"c": TAG, "p": UNICODE})
        driver = c.connection.dbapi_connection
        select.select([driver], [], [], 10)
        driver.poll()
        equal([(n.channel, n.payload) for n in driver.notifies], [(TAG, UNICODE)])
        c.execute(text("UNLISTEN *"))
    equal(one(b, "SELECT count(*) FROM pg_listening_channels()"), 0)
    aside.dispose()


def settings():
    """Set for every connection of an engine, as SQLAlchemy's documentation has it."""
    engines = {}
    for path, zone in (("asia, public", "Asia/Tokyo"), ("amer, public", "America/New_York")):
        e = sqlalchemy.create_engine(URL, future=True)

        def set_up(connection, _record, path=path, zone=zone):
            before, connection.autocommit = connection.autocommit, True
            with connection.cursor() as cur:
                cur.execute(f"SET SESSION search_path={path}")
                cur.execute(f"SET TIME ZONE '{zone}'")
                cur.execute(f"SET application_name TO '{zone}'")
                cur.execute("SET statement_timeout TO '1h'")
            connection.autocommit = before
        event.listen(e, "connect", set_up, insert=True)
        engines[e] = [path, zone, zone, "1h"]
    for _ in range(5):
        for e, want in engines.items():
            equal([one(e, f"SHOW {name}") for name in ("search_path", "TimeZone", "application_name", "statement_timeout")], want)
    for e in engines:
        e.dispose()
    equal(one(a, "SHOW statement_timeout"), "0")


@both
def failures(e, _):
    for sql, kind in [("SELECT 1/0", exc.DataError), ("SELEKT", exc.ProgrammingError), ("SELECT * FROM nowhere", exc.ProgrammingError)]:
        raises(kind, one, e, sql)
        equal(one(e, "SELECT 7"), 7)
    with e.connect() as c:
        raises(exc.DataError, c.execute, text("SELECT 1/0"))
        raises(exc.InternalError, c.execute, text("SELECT 1"))
        c.rollback()
        equal(c.execute(text("SELECT 8")).scalar(), 8)


def reconnect():
    raises(exc.DataError, one, a, "SELECT 1/0")
    a.dispose()
    b.dispose()
    equal((one(a, "SELECT 9"), one(b, "SELECT 9")), (9, 9))
    a.dispose()
    b.dispose()


print("version", sqlalchemy.__version__)
run("connect", connect)
run("types", types)
missing("prepared", "psycopg2 below it has none")
run("transactions", transactions)
missing("pipeline", "psycopg2 below it has none")
run("copy", copies)
run("cancel", cancel)
run("listen", listen)
run("settings", settings)
run("errors", failures)
run("reconnect", reconnect)
