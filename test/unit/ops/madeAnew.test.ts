/** What a nats-server makes in a home that is gone is taken away; what anybody else put there is not. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { removeMadeAnew } from '#ops/nats/madeAnew.ts'

const anew = suite('made anew in a lost home')
const base = mkdtempSync(join(tmpdir(), 'reckon-anew-'))
anew.after(() => rmSync(base, { recursive: true, force: true }))

const STREAM = 'nats/store/jetstream/ACE2/streams/OBJ_keyframes'
const MADE = [
  `${STREAM}/obs/oc_a_1/meta.inf`,
  `${STREAM}/obs/oc_a_1/o.dat`,
  `${STREAM}/obs/oc_b_1/meta.sum`,
  'nats/store/reserve',
  'nats/store/reserve.new',
  'nats/store/.trial'
]
let homes = 0
const homeWith = (...files: readonly string[]): string => {
  const home = join(base, `home-${homes++}`)
  mkdirSync(home)
  for (const file of files) {
    mkdirSync(dirname(join(home, file)), { recursive: true })
    writeFileSync(join(home, file), '')
  }
  return home
}
const filesIn = (home: string): readonly string[] =>
  readdirSync(home, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(home.length + 1))
    .sort()

anew('the whole path goes', () => {
  const home = homeWith(...MADE)
  removeMadeAnew(home)
  assert.not(existsSync(home))
  removeMadeAnew(home)
  assert.ok(existsSync(base))
})
anew('messages stay, and consumers that are kept', () => {
  const kept = [`${STREAM}/msgs/1.blk`, `${STREAM}/obs/historian/o.dat`, 'notes.txt']
  const home = homeWith(...MADE, ...kept)
  removeMadeAnew(home)
  assert.equal(filesIn(home), kept.toSorted())
})
anew('a home is left alone', () => {
  const home = homeWith(...MADE, 'config.json')
  removeMadeAnew(home)
  assert.equal(filesIn(home), [...MADE, 'config.json'].sort())
})
anew.run()
