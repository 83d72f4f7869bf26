// What the driver programs for Node.js have in common; see doc.go.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

export const tag = process.env.PGSEAL_TEST_TAG
export const aside = process.env.PGSEAL_TEST_ASIDE
export const unicode = 'naïve Δοκιμή 試験 🐘'
export const data = Buffer.from([0, 1, 92, 39, 255])

// Verification in full; neither driver reads libpq's variables for it.
export const ssl = { ca: readFileSync(process.env.PGSSLROOTCERT), rejectUnauthorized: true, servername: 'localhost' }

export const equal = assert.deepEqual
export const sleep = ms => new Promise(done => setTimeout(done, ms))

export const version = name => console.log('version', JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url))).version)

// Does a step and prints what came of it.
export async function run(name, step) {
  try {
    await step()
    console.log('ok', name)
  } catch (error) {
    const where = /main\.mjs:(\d+)/.exec(error.stack ?? '')?.[1]
    console.log(`FAIL ${name}: ${String(error.message ?? error).replace(/\s+/g, ' ')} (line ${where})`)
  }
}

export const missing = (name, why) => console.log(`n/a ${name}: ${why}`)

// Checks that a promise is rejected with a SQLSTATE.
export async function rejects(promise, code) {
  try {
    await promise
  } catch (error) {
    assert.equal(error.code, code, `got ${error.message}, want SQLSTATE ${code}`)
    return
  }
  assert.fail(`no error, want SQLSTATE ${code}`)
}
