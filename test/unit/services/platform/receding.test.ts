/** A view of a stream that forgets: what was replaced there is not gone, though its entry is and the new one has not come yet. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeEvent } from '#events/Event.ts'
import type { LogEntry } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import type { Change } from '#projections/Objects.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { View } from '#services/platform/View.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { builtIns } from '#test/support/builtIns.ts'

const LEASES = { group: 'coordination.k8s.io', resource: 'leases' }
const LOOK_MS = 10_000
const KEPT_MS = 60_000

const receding = suite('a view of a stream that forgets')

const lab = async () => {
  const clock = new VirtualClock(5)
  const log = new MemoryLog('PULSE', clock, { keepLastOnly: true, maxAge: KEPT_MS })
  const held: (() => void)[] = []
  let isHolding = false
  const late = Object.create(log, {
    follow: {
      value: (follow: Parameters<MemoryLog['follow']>[0]) => {
        const onEntries = (entries: readonly LogEntry[]): void =>
          isHolding ? void held.push(() => follow.onEntries(entries)) : follow.onEntries(entries)
        return log.follow({ ...follow, onEntries })
      }
    },
    state: { value: () => log.state() }
  }) as MemoryLog
  const view = new View('PULSE', late, clock, { api: builtIns, expires: true })
  const changes: string[] = []
  view.subscribe(({ type, entry, expired }: Change) => changes.push(`${type} ${entry.key.name}${expired === true ? ' (expired)' : ''}`))
  const renew = async (name: string): Promise<void> => {
    const key = { ...LEASES, namespace: 'kube-node-lease', name }
    const object = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace: 'kube-node-lease', uid: name } }
    const record = encodeEvent({
      stream: 'PULSE',
      key,
      id: `${name}-${clock.uuid()}`,
      type: 'reckon.lease.updated.v1',
      source: 'test',
      time: new Date(clock.now()).toISOString(),
      user: 'somebody',
      correlationId: 'c',
      verb: 'update',
      deleted: false,
      expected: 0,
      object
    })
    await log.append([{ subject: subjectOf('PULSE', key), ...record }])
    await clock.run(1)
  }
  const hold = (): void => void (isHolding = true)
  const release = (): void => {
    isHolding = false
    for (const deliver of held.splice(0)) deliver()
  }
  const names = (): string[] => [...view.objects.collection(LEASES).values()].map(({ key }) => key.name).sort()
  let started = false
  void view.start().then(() => (started = true))
  await clock.run(1_000, () => started)
  return { clock, view, renew, hold, release, names, changes }
}

receding('keeps what was renewed while it is behind', async () => {
  const { clock, view, renew, hold, release, names, changes } = await lab()
  for (const name of ['n1', 'n2']) await renew(name)
  hold()
  await renew('n1')
  await clock.run(3 * LOOK_MS)
  assert.equal(names(), ['n1', 'n2'])
  release()
  await clock.run(2 * LOOK_MS)
  assert.equal(
    [names(), changes],
    [
      ['n1', 'n2'],
      ['ADDED n1', 'ADDED n2', 'MODIFIED n1']
    ]
  )
  view.close()
})
receding('lets go of what nobody renewed, as soon as it is past what it had not seen', async () => {
  const { clock, view, renew, hold, release, names, changes } = await lab()
  for (const name of ['n1', 'n2']) await renew(name)
  await clock.run(KEPT_MS / 2)
  hold()
  await renew('n2')
  await clock.run(KEPT_MS / 2 + LOOK_MS)
  assert.equal(names(), ['n1', 'n2'], 'what it has not seen could be n1')
  release()
  await clock.run(LOOK_MS)
  assert.equal([names(), changes.at(-1)], [['n2'], 'DELETED n1 (expired)'])
  await clock.run(KEPT_MS + 2 * LOOK_MS)
  assert.equal([names(), changes.at(-1)], [[], 'DELETED n2 (expired)'])
  view.close()
})
receding('lets go at once of what a writer found gone', async () => {
  const { clock, view, renew, hold, names } = await lab()
  for (const name of ['n1', 'n2']) await renew(name)
  hold()
  await clock.run(KEPT_MS + 1)
  await renew('n3')
  let done = false
  void view.expire([{ ...LEASES, namespace: 'kube-node-lease', name: 'n1' }]).then(() => (done = true))
  await clock.run(1_000, () => done)
  assert.equal(names(), ['n2'])
  view.close()
})
receding.run()
