/** Nodes that left: given credentials and what the log says of their nodes, who was deleted is cut off, also when that fails at first. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { cutOffLeavers } from '#ops/components/nodeAccess.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { accepted, startTestApi } from '#test/support/api.ts'

const NODES = { group: '', resource: 'nodes' }

const lab = async () => {
  const clock = new VirtualClock(5)
  const api = await startTestApi(clock)
  const admitted = new Map<string, number>()
  const it = { down: false, asked: 0, warnings: [] as string[] }
  const access = {
    list: async () => {
      it.asked += 1
      if (it.down) throw new Error('the accounts can not be listed')
      return [...admitted].map(([node, since]) => ({ node, since }))
    },
    revoke: async (node: string) => admitted.delete(node)
  }
  const cut = () =>
    cutOffLeavers({
      access,
      views: api.views,
      ownNode: 'own',
      clock,
      warn: (warning) => it.warnings.push(warning instanceof Error ? warning.message : String(warning))
    })
  const join = async (name: string): Promise<void> => {
    admitted.set(name, clock.now())
    await clock.run(10)
    accepted((await Promise.all([api.create({ apiVersion: 'v1', kind: 'Node', metadata: { name } }), clock.run(100)]))[0])
  }
  const leave = async (name: string): Promise<void> =>
    void (await Promise.all([api.submit({ verb: 'delete', ref: NODES, name }), clock.run(100)]))
  return { clock, admitted, it, cut, join, leave, left: () => [...admitted.keys()] }
}

const leavers = suite('nodes that leave')
leavers('are cut off when their object is deleted, and nobody else is', async () => {
  const { clock, admitted, it, cut, join, leave, left } = await lab()
  for (const name of ['a', 'b', 'own']) await join(name)
  // It was let in, and has not come yet.
  admitted.set('joining', clock.now())
  const cutting = cut()
  await leave('a')
  await leave('own')
  assert.equal(left(), ['b', 'own', 'joining'])
  assert.equal(it.warnings, ['node a was deleted: its credentials are revoked'])
  cutting.close()
})
leavers('are cut off later when they were deleted while nobody looked, but not if they were let in anew since', async () => {
  const { clock, admitted, cut, join, leave, left } = await lab()
  for (const name of ['a', 'b']) await join(name)
  for (const name of ['a', 'b']) await leave(name)
  await clock.run(1_000)
  admitted.set('b', clock.now())
  const cutting = cut()
  await clock.run(1_000)
  assert.equal(left(), ['b'])
  cutting.close()
})
leavers('are cut off as soon as that can be done again', async () => {
  const { clock, it, cut, join, leave, left } = await lab()
  for (const name of ['a', 'b']) await join(name)
  const cutting = cut()
  it.down = true
  await leave('a')
  await clock.run(20_000)
  assert.equal([left(), it.warnings.length > 1], [['a', 'b'], true])
  it.down = false
  await clock.run(6_000)
  assert.equal(left(), ['b'])
  const { asked } = it
  await clock.run(60_000)
  assert.is(it.asked, asked, 'what is done is not asked for again')
  cutting.close()
})
leavers.run()
