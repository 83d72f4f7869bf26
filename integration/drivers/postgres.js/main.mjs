// postgres.js at its defaults, but for one connection per pool: statements are
// prepared under names and kept, and queries are pipelined.
import postgres from 'postgres'
import { Readable } from 'node:stream'
import { pipeline as stream } from 'node:stream/promises'
import { aside, data, equal, rejects, run, sleep, ssl, tag, unicode, version } from '../steps/steps.mjs'

let a, b
const connect = more => postgres({ ssl, max: 1, onnotice: () => {}, ...more })
const one = async query => Object.values((await query)[0])[0]
const both = step => async () => {
  for (let i = 0; i < 3; i++) {
    await step(a, tag + 'a')
    await step(b, tag + 'b')
  }
}

async function types(sql) {
  const at = new Date(Date.UTC(2026, 2, 29, 1, 30, 0, 123))
  const [row] = await sql`SELECT ${String(2 ** 40)}::bigint n, ${unicode}::text word, ${null}::text nil,
    ${data}::bytea data, ${at}::timestamptz at, ${['x', unicode]}::text[] list`
  equal({ ...row }, { n: String(2 ** 40), word: unicode, nil: null, data, at, list: ['x', unicode] })
}

async function prepared() {
  for (let i = 0; i < 12; i++) {
    equal(await one(a`SELECT ${i}::int + 1`), i + 1)
    equal(await one(b`SELECT ${i}::int + 2`), i + 2)
    equal(await one(a.unsafe('SELECT $1::int + 3', [i], { prepare: true })), i + 3)
    equal(await one(b.unsafe('SELECT $1::int + 4', [i])), i + 4)
  }
}

async function transactions(sql, table) {
  await sql.unsafe(`CREATE TABLE ${table} (n int)`)
  for (const [i, undo] of [false, true, false].entries()) {
    await sql.begin(async sql => {
      await sql`INSERT INTO ${sql(table)} VALUES (${i})`
      await sql.savepoint(async sql => {
        await sql`INSERT INTO ${sql(table)} VALUES (100)`
        throw new Error('undo')
      }).catch(() => {})
      if (undo) throw new Error('undo')
    }).catch(error => { if (error.message !== 'undo') throw error })
  }
  const rows = []
  for await (const some of sql`SELECT n FROM ${sql(table)} ORDER BY n`.cursor(1)) rows.push(some[0].n)
  equal(rows, [0, 2])
  await sql`DROP TABLE ${sql(table)}`
}

async function pipeline(sql) {
  const all = Array.from({ length: 100 }, (_, i) => i % 10 === 7 ? sql`SELECT 1/${0}::int` : sql`SELECT ${i}::int * 2`)
  for (const [i, query] of all.entries()) {
    if (i % 10 === 7) await rejects(query, '22012')
    else equal(await one(query), 2 * i)
  }
}

async function copies(sql, table) {
  await sql.unsafe(`CREATE TABLE ${table} (n int, word text)`)
  const rows = Array.from({ length: 5000 }, (_, i) => `${i}\t${unicode}\n`)
  await stream(Readable.from(rows), await sql`COPY ${sql(table)} FROM STDIN`.writable())
  let out = ''
  for await (const chunk of await sql`COPY ${sql(table)} TO STDOUT`.readable()) out += chunk
  equal(out.split('\n').length - 1, 5000)
  await sql`DROP TABLE ${sql(table)}`
}

async function cancel() {
  for (const [sql, other] of [[a, b], [b, a], [a, b]]) {
    const query = sql`SELECT pg_sleep(30)`
    setTimeout(() => query.cancel(), 500)
    await rejects(query, '57014')
    equal(await one(other`SELECT ${5}::int`), 5)
    equal(await one(sql`SELECT ${6}::int`), 6)
  }
}

// Its listen opens a connection of its own, which stays.
async function listen() {
  const listener = connect()
  const heard = new Promise(resolve => { listener.listen(tag, resolve) })
  const other = connect({ database: aside })
  for (let i = 0; i < 50 && await Promise.race([heard, sleep(100).then(() => null)]) === null; i++) await other.notify(tag, unicode)
  equal(await Promise.race([heard, sleep(1000)]), unicode)
  await other.end()
  await listener.end()
  equal(await one(a`SELECT count(*)::int FROM pg_listening_channels()`), 0)
}

async function settings() {
  const want = [[a, 'asia, public', 'Asia/Tokyo'], [b, 'amer, public', 'America/New_York']]
  for (const [sql, path, zone] of want) {
    await sql.unsafe(`SET search_path TO ${path}; SET TIME ZONE '${zone}'`)
    await sql`SELECT set_config('application_name', ${zone}, false)`
    await sql`SET statement_timeout TO '1h'`
  }
  for (let i = 0; i < 5; i++) {
    for (const [sql, path, zone] of want) {
      const got = []
      for (const name of ['search_path', 'TimeZone', 'application_name', 'statement_timeout']) got.push(await one(sql`SHOW ${sql(name)}`))
      equal(got, [path, zone, zone, '1h'])
    }
  }
  await a`RESET ALL`
  equal(await one(b`SHOW statement_timeout`), '1h')
  equal(await one(a`SHOW statement_timeout`), '0')
  await b`RESET ALL`
}

async function failures(sql) {
  await rejects(sql`SELECT 1/0`, '22012')
  await rejects(sql`SELEKT`, '42601')
  await rejects(sql`SELECT * FROM nowhere`, '42P01')
  equal(await one(sql`SELECT ${7}::int`), 7)
  await rejects(sql.begin(async sql => {
    await rejects(sql`SELECT 1/${0}::int`, '22012')
    await rejects(sql`SELECT 1`, '25P02')
  }), '22012') // the transaction fails with the first error in it
  equal(await one(sql`SELECT ${8}::int`), 8)
}

async function reconnect() {
  await rejects(a`SELECT 1/0`, '22012')
  await a.end()
  a = connect()
  equal([await one(a`SELECT ${9}::int`), await one(b`SELECT ${9}::int`)], [9, 9])
  await a.end()
  await b.end()
}

version('postgres')
await run('connect', async () => {
  a = connect()
  b = connect()
  equal([await one(a`SELECT 1`), await one(b`SELECT 1`)], [1, 1])
})
await run('types', both(types))
await run('prepared', prepared)
await run('transactions', both(transactions))
await run('pipeline', both(pipeline))
await run('copy', both(copies))
await run('cancel', cancel)
await run('listen', listen)
await run('settings', settings)
await run('errors', both(failures))
await run('reconnect', reconnect)
process.exit()
