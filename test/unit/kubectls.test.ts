/** Which kubectls tests run with, out of programs that only say a version. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { inWords, kubectls, milestones, type Kubectl } from '#test/support/kubectls.ts'

const choice = suite('kubectls')
const folder = mkdtempSync(join(tmpdir(), 'reckon-kubectls-'))
const given = process.env['RECKON_TEST_KUBECTL']

choice.after(() => {
  rmSync(folder, { recursive: true, force: true })
  if (given === undefined) delete process.env['RECKON_TEST_KUBECTL']
  else process.env['RECKON_TEST_KUBECTL'] = given
})

const name = (...versions: readonly string[]): void => {
  process.env['RECKON_TEST_KUBECTL'] = versions
    .map((version, at) => {
      const path = join(folder, `kubectl-${at}-${version}`)
      writeFileSync(path, `#!/bin/sh\necho '{"clientVersion":{"gitVersion":"v${version}"}}'\n`, { mode: 0o755 })
      return path
    })
    .join(delimiter)
}

choice('one of each minor version, oldest first; the first named of two', async () => {
  name('1.36.4+ds', '1.27.16-dispatcher', '1.36.0')
  assert.equal(
    (await kubectls()).map(({ version }) => version),
    ['1.27.16', '1.36.4']
  )
})

choice('one that is too old, or does not run, is left out, and it is said', async () => {
  name('1.20.2', '1.30.1')
  process.env['RECKON_TEST_KUBECTL'] += `${delimiter}/nowhere/kubectl`
  const said: string[] = []
  assert.equal(
    (await kubectls((line) => said.push(line))).map(({ minor }) => minor),
    [30]
  )
  assert.match(said.join('\n'), /1\.20\.2, older than reckon is made for, and is left out\n\/nowhere\/kubectl does not say its version/)
})

choice('with none left there is an error that says what to do', async () => {
  name('1.20.2')
  await kubectls().then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, 'put one on PATH, or name it in RECKON_TEST_KUBECTL')
  )
})

choice('the longer tests take the ends and those where something changed', () => {
  const all = [26, 27, 28, 30, 31, 32, 34, 36].map((minor): Kubectl => ({
    version: `1.${minor}.0`,
    minor,
    path: '',
    from: minor > 30 ? 'a' : 'b'
  }))
  assert.equal(
    milestones(all).map(({ minor }) => minor),
    [26, 27, 30, 32, 36]
  )
  assert.is(inWords(all.slice(3, 6)), '1.30.0 (b), 1.31.0, 1.32.0 (a)')
})

choice.run()
