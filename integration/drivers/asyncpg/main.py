"""asyncpg at its defaults: every statement is prepared under a name and kept."""
import asyncio
import datetime
import io

import asyncpg
from asyncpg import exceptions as errors
from steps import ASIDE, DATA, TAG, UNICODE, arun, equal


async def araises(kind, awaitable):
    try:
        await awaitable
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


async def connect():
    global a, b
    a, b = await asyncpg.connect(), await asyncpg.connect()


def both(step):
    async def rounds():
        for _ in range(3):
            await step(a, TAG + "a")
            await step(b, TAG + "b")
    return rounds


@both
async def types(c, _):
    when = datetime.datetime(2026, 3, 29, 1, 30, 0, 123456, datetime.timezone.utc)
    row = await c.fetchrow("SELECT $1::bigint, $2::text, $3::text, $4::bytea, $5::timestamptz, $6::text[]",
                           1 << 40, UNICODE, None, DATA, when, ["x", UNICODE])
    equal(tuple(row), (1 << 40, UNICODE, None, DATA, when, ["x", UNICODE]))


async def prepared():
    # prepare ends with Flush: the server is the client's until it is used.
    one = await a.prepare("SELECT $1::int + 1")
    equal(await one.fetchval(1), 2)
    two = await b.prepare("SELECT $1::int + 2")
    for i in range(12):
        equal(await one.fetchval(i), i + 1)
        equal(await two.fetchval(i), i + 2)
        equal(await a.fetchval("SELECT 'a' || $1::int", i), f"a{i}")
        equal(await b.fetchval("SELECT 'b' || $1::int", i), f"b{i}")
    # More statements than asyncpg keeps: it closes the oldest.
    for i in range(120):
        equal(await a.fetchval(f"SELECT {i} + $1::int", 1), i + 1)
    # A type of the database's own makes asyncpg look it up.
    await a.execute(f"DROP TYPE IF EXISTS {TAG}mood; CREATE TYPE {TAG}mood AS ENUM ('fine', 'not')")
    equal(await a.fetchval(f"SELECT $1::{TAG}mood", "fine"), "fine")
    equal(await b.fetchval(f"SELECT ARRAY[$1::{TAG}mood]", "not"), ["not"])
    await b.execute(f"DROP TYPE {TAG}mood")


@both
async def transactions(c, table):
    await c.execute(f"CREATE TABLE {table} (n int)")
    for i, undo in enumerate([False, True, False]):
        try:
            async with c.transaction():
                await c.execute(f"INSERT INTO {table} VALUES ($1)", i)
                if undo:
                    raise KeyError("given up")
        except KeyError:
            pass
    async with c.transaction():
        equal([r[0] async for r in c.cursor(f"SELECT n FROM {table} ORDER BY n", prefetch=1)], [0, 2])
    await c.execute(f"DROP TABLE {table}")


@both
async def pipeline(c, table):
    """executemany sends one batch."""
    await c.execute(f"CREATE TABLE {table} (n int)")
    await c.executemany(f"INSERT INTO {table} VALUES ($1)", [(i,) for i in range(500)])
    await araises(errors.DivisionByZeroError, c.executemany(f"INSERT INTO {table} VALUES (1/$1::int)", [(1,), (0,), (1,)]))
    equal(await c.fetchval(f"SELECT count(*) FROM {table}"), 500)
    await c.execute(f"DROP TABLE {table}")


@both
async def copies(c, table):
    await c.execute(f"CREATE TABLE {table} (n int, word text)")
    await c.copy_records_to_table(table, records=[(i, UNICODE) for i in range(5000)])
    await araises(Exception, c.copy_records_to_table(table, records=[(1, "fine"), ("bad", "row")]))
    out = io.BytesIO()
    await c.copy_from_table(table, output=out)
    equal(out.getvalue().count(UNICODE.encode()), 5000)
    await c.execute(f"DROP TABLE {table}")


async def cancel():
    for c, other in [(a, b), (b, a), (a, b)]:
        await araises(asyncio.TimeoutError, c.fetchval("SELECT pg_sleep(30)", timeout=0.5))
        equal(await other.fetchval("SELECT $1::int", 5), 5)
        equal(await c.fetchval("SELECT $1::int", 6), 6)


async def listen():
    got = asyncio.Queue()

    def heard(_connection, _pid, channel, payload):
        got.put_nowait((channel, payload))
    await a.add_listener(TAG, heard)
    aside = await asyncpg.connect(database=ASIDE)
    await aside.fetch("SELECT pg_notify($1, $2)", TAG, UNICODE)
    equal(await asyncio.wait_for(got.get(), 10), (TAG, UNICODE))
    await aside.close()
    await a.remove_listener(TAG, heard)
    equal(await b.fetchval("SELECT count(*) FROM pg_listening_channels()"), 0)


async def settings():
    want = {a: ("asia, public", "Asia/Tokyo"), b: ("amer, public", "America/New_York")}
    for c, (path, zone) in want.items():
        await c.execute(f"SET search_path TO {path}")
        await c.execute(f"SET TIME ZONE '{zone}'")
        await c.fetch("SELECT set_config('application_name', $1, false)", zone)
        await c.execute("SET statement_timeout TO '1h'")
    for _ in range(5):
        for c, (path, zone) in want.items():
            equal([await c.fetchval(f"SHOW {name}") for name in ("search_path", "TimeZone", "application_name", "statement_timeout")],
                  [path, zone, zone, "1h"])
            equal(c.get_settings().TimeZone, zone)
    await a.execute("RESET ALL")
    equal(await b.fetchval("SHOW statement_timeout"), "1h")
    equal(await a.fetchval("SHOW statement_timeout"), "0")
    # What asyncpg's own pool runs when a connection is given back: it
    # unlistens, unlocks, closes cursors and resets.
    await b.reset()
    equal(await b.fetchval("SHOW statement_timeout"), "0")


@both
async def failures(c, _):
    for sql, kind in [("SELECT 1/0", errors.DivisionByZeroError), ("SELEKT", errors.PostgresSyntaxError), ("SELECT * FROM nowhere", errors.UndefinedTableError)]:
        await araises(kind, c.fetch(sql))
        equal(await c.fetchval("SELECT $1::int", 7), 7)

    async def failed():
        async with c.transaction():
            await araises(errors.DivisionByZeroError, c.fetch("SELECT 1/$1::int", 0))
            await c.fetch("SELECT 1")
    await araises(errors.InFailedSQLTransactionError, failed())
    equal(await c.fetchval("SELECT $1::int", 8), 8)


async def reconnect():
    await araises(errors.DivisionByZeroError, a.fetch("SELECT 1/0"))
    await a.close()
    await b.close()
    await connect()
    equal((await a.fetchval("SELECT $1::int", 9), await b.fetchval("SELECT $1::int", 9)), (9, 9))
    await a.close()
    await b.close()


async def main():
    print("version", asyncpg.__version__)
    await arun("connect", connect)
    await arun("types", types)
    await arun("prepared", prepared)
    await arun("transactions", transactions)
    await arun("pipeline", pipeline)
    await arun("copy", copies)
    await arun("cancel", cancel)
    await arun("listen", listen)
    await arun("settings", settings)
    await arun("errors", failures)
    await arun("reconnect", reconnect)

asyncio.run(main())
