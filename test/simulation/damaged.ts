/** The end of a seed whose log is damaged under everybody: who knew more stops, and what stands there instead is served to nobody. */
import type { Range } from '#events/Log.ts'
import { streamOf } from '#test/support/builtIns.ts'
import type { Ending } from './faults.ts'
import type { World } from './World.ts'

const SETTLES_MS = 60_000

export const checkDamaged = async (world: World, ending: Ending): Promise<string[]> => {
  const { clock, logs } = world
  const last = await logs.EVENTS.lastSequence()
  const names = [
    ...world.crashable().filter((name) => !world.machines.has(name)),
    ...Array.from({ length: world.apiServers }, (_, n) => `api ${n}`)
  ]
  // Each API server finds out by its own first write. Where another has filled a short gap by then, a follower that comes back can't tell.
  const least = world.apiServers > 1 ? 30 : 1
  const lost = Math.min(last - 1, least + Math.floor(clock.random() * 20))
  const hole: Range = { first: last - lost, last: last - lost }
  const told = world.watches.map((watch) => watch.told.length)
  const acknowledged = world.acknowledged.length
  if (ending === 'tail') world.damage({ cut: last - lost })
  else if (ending === 'replaced') world.damage({ identity: 'another-log' })
  else {
    // Who has folded what is missing now goes on; who starts anew meets the hole.
    world.damage({ remove: hole })
    for (let n = 0; n < world.apiServers; n++) world.crashApi(n)
    for (const name of world.crashable()) if (!world.machines.has(name)) world.crash(name)
    for (let n = 0; n < world.apiServers; n++) void world.startApi(n)
  }
  // Somebody writes before anybody has noticed.
  for (let n = 0; n < 5; n++) {
    void world.person({
      verb: 'create',
      ref: { group: '', resource: 'configmaps' },
      namespace: 'default',
      name: `late${n}`,
      object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `late${n}`, namespace: 'default' } }
    })
    await clock.run(50)
  }
  await clock.run(SETTLES_MS)
  const faults: string[] = []
  // Components follow parts and keep no chain: a log that has grown again is as long as they know it. Whom they ask is gone, though.
  const grown = ending === 'tail' && (await logs.EVENTS.lastSequence()) >= last
  const known = ending === 'hole' || grown ? names.filter((name) => name.startsWith('api')) : names
  for (const name of known) if (!world.halted.has(name)) faults.push(`${name} goes on with a damaged log (${ending})`)
  for (let n = 0; n < world.apiServers; n++) if (world.serving(n)) faults.push(`api ${n} serves a damaged log (${ending})`)
  // Started again, as a supervisor would.
  for (let n = 0; n < world.apiServers; n++) void world.startApi(n)
  await clock.run(SETTLES_MS)
  for (let n = 0; n < world.apiServers; n++)
    if (world.serving(n)) faults.push(`api ${n} serves a damaged log when it is started again (${ending})`)
  if (world.acknowledged.slice(acknowledged).some(({ intent }) => streamOf(intent.ref) === 'EVENTS'))
    faults.push(`writes on a damaged log were acknowledged (${ending})`)
  // What was sent before is still on its way; of what was written after it nobody is told.
  for (const [at, watch] of world.watches.entries())
    if (watch.told.slice(told[at]).some(({ sequence }) => sequence > last))
      faults.push(`a watch of ${watch.kind.resource} was told of a damaged log (${ending})`)
  return faults
}
