/** Whose reports are too many: who has more than its share of what waits, in bytes or in entries, and nobody else. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { KEPT, Loads } from '#services/apiserver/nodes/Loads.ts'

const MIB = 1024 * 1024
const FEW = 100
const BEHIND = 20_001

const loads = (...nodes: readonly (readonly [node: string, entries: number, size?: number])[]): Loads => {
  const made = new Loads()
  for (const [node, entries, size = 1_000] of nodes) for (let n = 0; n < entries; n++) made.add(node, size)
  return made
}

const bounds = suite('what a node keeps of its reports')

bounds('one with more bytes than its share keeps few, however little waits besides', () => {
  assert.is(loads(['a', 32, MIB]).excess('a', 0), undefined)
  assert.is(loads(['a', 33, MIB]).excess('a', 0), KEPT.large)
})
bounds('one with most of the entries keeps many, where much waits behind them', () => {
  assert.is(loads(['a', FEW]).excess('a', BEHIND), KEPT.many)
  assert.is(loads(['a', FEW]).excess('a', BEHIND - 1), undefined)
  assert.is(loads(['a', FEW - 1]).excess('a', BEHIND), undefined, 'so few tell nothing')
})
bounds('one with half of the entries or less loses nothing', () => {
  const both = loads(['a', 300], ['b', 300])
  for (const node of ['a', 'b', 'unheard']) assert.is(both.excess(node, BEHIND), undefined)
  assert.is(loads(['a', 301], ['b', 300]).excess('a', BEHIND), KEPT.many)
})
bounds('what is done with counts no more', () => {
  const one = loads(['a', 40, MIB], ['b', 10])
  for (let n = 0; n < 8; n++) one.take('a', MIB)
  assert.is(one.excess('a', 0), undefined)
  for (let n = 0; n < 40; n++) one.take('a', MIB)
  for (let n = 0; n < FEW; n++) one.add('b', 1)
  assert.is(one.excess('b', BEHIND), KEPT.many, 'none of the others are left')
})

bounds.run()
