// node-postgres at its defaults: queries with values use the unnamed
// statement, those with a name are prepared once per connection.
import pg from 'pg'
import { from, to } from 'pg-copy-streams'
import { Readable } from 'node:stream'
import { pipeline as stream } from 'node:stream/promises'
import { aside, data, equal, missing, rejects, run, sleep, ssl, tag, unicode, version } from '../steps/steps.mjs'

let a, b
const connect = async more => {
  const c = new pg.Client({ ssl, ...more })
  c.on('error', () => {})
  await c.connect()
  return c
}
const one = async (c, text, values) => Object.values((await c.query(text, values)).rows[0])[0]
const both = step => async () => {
  for (let i = 0; i < 3; i++) {
    await step(a, tag + 'a')
    await step(b, tag + 'b')
  }
}

async function types(c) {
  const at = new Date(Date.UTC(2026, 2, 29, 1, 30, 0, 123))
  const { rows } = await c.query('SELECT $1::bigint n, $2::text word, $3::text nil, $4::bytea data, $5::timestamptz at, $6::text[] list',
    [2 ** 40, unicode, null, data, at, ['x', unicode]])
  equal({ ...rows[0] }, { n: String(2 ** 40), word: unicode, nil: null, data, at, list: ['x', unicode] })
}

async function prepared() {
  for (let i = 0; i < 12; i++) {
    equal(await one(a, { name: 'mine', text: 'SELECT $1::int + 1', values: [i] }), i + 1)
    equal(await one(b, { name: 'mine', text: 'SELECT $1::int + 2', values: [i] }), i + 2)
    equal(await one(a, "SELECT 'a' || $1::int", [i]), 'a' + i)
    equal(await one(b, "SELECT 'b' || $1::int", [i]), 'b' + i)
  }
}

async function transactions(c, table) {
  await c.query(`CREATE TABLE ${table} (n int)`)
  for (const [i, end] of ['COMMIT', 'ROLLBACK', 'COMMIT'].entries()) {
    await c.query('BEGIN')
    await c.query(`INSERT INTO ${table} VALUES ($1)`, [i])
    await c.query(end)
  }
  equal(await one(c, `SELECT string_agg(n::text, ' ' ORDER BY n) FROM ${table}`), '0 2')
  await c.query(`DROP TABLE ${table}`)
}

async function copies(c, table) {
  await c.query(`CREATE TABLE ${table} (n int, word text)`)
  const rows = Array.from({ length: 5000 }, (_, i) => `${i}\t${unicode}\n`)
  await stream(Readable.from(rows), c.query(from(`COPY ${table} FROM STDIN`)))
  await rejects(stream(Readable.from(['bad\trow\n']), c.query(from(`COPY ${table} FROM STDIN`))), '22P02')
  let out = ''
  for await (const chunk of c.query(to(`COPY ${table} TO STDOUT`))) out += chunk
  equal(out.split('\n').length - 1, 5000)
  await c.query(`DROP TABLE ${table}`)
}

// Its cancel is an unconnected client that is given the one to cancel.
async function cancel() {
  for (const [c, other] of [[a, b], [b, a], [a, b]]) {
    const query = new pg.Query('SELECT pg_sleep(30)')
    const done = new Promise((resolve, reject) => { query.on('end', resolve); query.on('error', reject) })
    c.query(query)
    setTimeout(() => new pg.Client({ ssl }).cancel(c, query), 500)
    await rejects(done, '57014')
    equal(await one(other, 'SELECT $1::int', [5]), 5)
    equal(await one(c, 'SELECT $1::int', [6]), 6)
  }
}

async function listen() {
  const heard = new Promise(resolve => a.on('notification', resolve))
  await a.query(`LISTEN ${tag}`)
  const other = await connect({ database: aside })
  await other.query('SELECT pg_notify($1, $2)', [tag, unicode])
  await other.end()
  const { channel, payload } = await Promise.race([heard, sleep(10000).then(() => ({}))])
  equal([channel, payload], [tag, unicode])
  await a.query('UNLISTEN *')
  equal(await one(b, 'SELECT count(*)::int FROM pg_listening_channels()'), 0)
}

async function settings() {
  const want = [[a, 'asia, public', 'Asia/Tokyo'], [b, 'amer, public', 'America/New_York']]
  for (const [c, path, zone] of want) {
    await c.query(`SET search_path TO ${path}; SET TIME ZONE '${zone}'`)
    await c.query("SELECT set_config('application_name', $1, false)", [zone])
    await c.query("SET statement_timeout TO '1h'")
  }
  for (let i = 0; i < 5; i++) {
    for (const [c, path, zone] of want) {
      const got = []
      for (const name of ['search_path', 'TimeZone', 'application_name', 'statement_timeout']) got.push(await one(c, `SHOW ${name}`))
      equal(got, [path, zone, zone, '1h'])
    }
  }
  await a.query('RESET ALL')
  equal(await one(b, 'SHOW statement_timeout'), '1h')
  equal(await one(a, 'SHOW statement_timeout'), '0')
  await b.query('RESET ALL')
}

async function failures(c) {
  for (const [text, code] of [['SELECT 1/0', '22012'], ['SELEKT', '42601'], ['SELECT * FROM nowhere', '42P01']]) {
    await rejects(c.query(text), code)
    await rejects(c.query({ name: text, text }), code)
    equal(await one(c, 'SELECT $1::int', [7]), 7)
  }
  await c.query('BEGIN')
  await rejects(c.query('SELECT 1/$1::int', [0]), '22012')
  await rejects(c.query('SELECT 1'), '25P02')
  await c.query('ROLLBACK')
  equal(await one(c, 'SELECT $1::int', [8]), 8)
}

async function reconnect() {
  await rejects(a.query('SELECT 1/0'), '22012')
  await a.end()
  a = await connect()
  equal([await one(a, 'SELECT $1::int', [9]), await one(b, 'SELECT $1::int', [9])], [9, 9])
  await a.end()
  await b.end()
}

version('pg')
await run('connect', async () => { a = await connect(); b = await connect() })
await run('types', both(types))
await run('prepared', prepared)
await run('transactions', both(transactions))
missing('pipeline', 'queries wait for each other')
await run('copy', both(copies))
await run('cancel', cancel)
await run('listen', listen)
await run('settings', settings)
await run('errors', both(failures))
await run('reconnect', reconnect)
process.exit()
