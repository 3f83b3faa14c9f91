/** The log's files before nats-server may have them: what must be what it was, and what may be other bytes with the same in them. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { asideFolder, inspectStore, markClosed, markOpen, noteBlocks } from '#ops/nats/store.ts'
import { ledgerFolder } from '#ops/nats/streams.ts'
import { writeRecord } from '#services/platform/ledger/FileLedger.ts'

const store = suite("the log's files")
const LATER = 60_000
const homes: string[] = []
store.after(() => homes.forEach((home) => rmSync(home, { recursive: true, force: true })))

/** A home whose EVENTS has three files, the first two noted as finished. */
const home = async (thinned: boolean): Promise<{ readonly path: string; file(n: number): string }> => {
  const path = mkdtempSync(join(tmpdir(), 'reckon-store-'))
  homes.push(path)
  const folder = join(path, 'nats/store/jetstream/LOG/streams/EVENTS/msgs')
  mkdirSync(folder, { recursive: true })
  const file = (n: number): string => join(folder, `${n}.blk`)
  for (const n of [1, 2, 3]) {
    writeFileSync(file(n), `block ${n}`)
    utimesSync(file(n), 1_000_000, 1_000_000)
  }
  writeRecord(ledgerFolder(path), 'EVENTS', { identity: 'it', made: '2026-01-01T00:00:00Z', ...(thinned ? { thinned: true } : {}) })
  await noteBlocks(path, Date.now() + LATER)
  return { path, file }
}
const inspect = async (path: string): Promise<readonly string[]> => (await inspectStore(path, () => {})).map((block) => block.path)
const copy = (path: string, n: number): string => join(asideFolder(path), 'before-start/EVENTS/msgs', `${n}.blk`)
/** What a disk does: the bytes are others, and nobody wrote them. */
const rot = (file: string): void => {
  const at = Math.floor(statSync(file).mtimeMs / 1_000)
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^./, '!'))
  utimesSync(file, at, at)
}

for (const thinned of [false, true]) {
  store(`rot in a finished file is found${thinned ? ', also where files are written anew' : ''}`, async () => {
    const { path, file } = await home(thinned)
    rot(file(1))
    assert.equal(await inspect(path), ['EVENTS/msgs/1.blk'])
    assert.not(existsSync(asideFolder(path)))
  })
  store(
    `a finished file that was written anew ${thinned ? 'is left to the chain where entries were taken out' : 'is none of ours where nothing was'}`,
    async () => {
      const { path, file } = await home(thinned)
      writeFileSync(file(1), 'written anew')
      assert.equal(await inspect(path), thinned ? [] : ['EVENTS/msgs/1.blk'])
      if (!thinned) return
      assert.equal(
        [1, 2, 3].map((n) => readFileSync(copy(path, n), 'utf8')),
        ['written anew', 'block 2', 'block 3']
      )
      // A file that nobody writes to again costs no copy.
      assert.equal(
        [1, 2, 3].map((n) => statSync(copy(path, n)).ino === statSync(file(n)).ino),
        [false, true, false]
      )
      utimesSync(file(1), 2_000_000, 2_000_000)
      await noteBlocks(path, Date.now() + LATER)
      rot(file(1))
      assert.equal(await inspect(path), ['EVENTS/msgs/1.blk'], 'it counts as it is, once it was noted')
    }
  )
}
store('what nats-server left when it was closed counts at the next end that is none of ours as well', async () => {
  const { path, file } = await home(false)
  writeFileSync(file(1), 'put in order at the end')
  await markClosed(path)
  assert.equal(await inspect(path), [])
  markOpen(path)
  assert.equal(await inspect(path), [])
  rot(file(2))
  assert.equal(await inspect(path), ['EVENTS/msgs/2.blk'])
})
store.run()
