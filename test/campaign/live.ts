/** Rounds on a cluster at work: what is done to it, and what is seen of it from outside meanwhile. */
import { setTimeout as wait } from 'node:timers/promises'
import { another, send, type CampaignCluster } from './cluster.ts'
import type { Load } from './load.ts'
import type { Round } from './plan.ts'
import type { SmallDisk } from '#test/support/smallDisk.ts'
import { until } from '#test/support/until.ts'

export interface Scene {
  readonly cluster: CampaignCluster
  readonly load: Load
  readonly disk: SmallDisk
}

export interface Seen {
  /** The longest time no write was acknowledged, milliseconds. */
  readonly outageMs: number
  readonly note: string
  readonly faults: readonly string[]
}

/** Until writes are acknowledged again after a fault is over; beyond it the round has failed. */
const BACK_MS = 60_000
/** Writes that say that all is well again. */
const ENOUGH = 50
/** What the cluster is given to get used to being well, so that lives are no short ones. */
const REST_MS = 2_500

const kill = async ({ cluster }: Scene, { victim, afterMs }: Extract<Round, { kind: 'kill' }>): Promise<void> => {
  await wait(afterMs)
  const { control, nats } = cluster.processes()
  if (victim !== 'nats-server' && victim !== 'nats-server, and again while it starts') send(control, 'SIGKILL')
  if (victim !== 'the control plane') send(nats, 'SIGKILL')
  if (victim !== 'nats-server, and again while it starts') return
  send(await another(() => cluster.processes().nats, nats, 10_000), 'SIGKILL')
}

const freeze = async ({ cluster }: Scene, { victim, seconds }: Extract<Round, { kind: 'freeze' }>): Promise<void> => {
  const { control, nats } = cluster.processes()
  const frozen = victim === 'nats-server' ? nats : control
  send(frozen, 'SIGSTOP')
  await wait(seconds * 1_000)
  send(frozen, 'SIGCONT')
}

/** What must hold while the disk is full: no creates, but deletes; nothing is ever answered with 500. */
const fill = async ({ cluster: { plane }, disk }: Scene, { leave, seconds }: Extract<Round, { kind: 'disk' }>): Promise<string[]> => {
  const faults: string[] = []
  const name = `disk-${Math.random().toString(36).slice(2)}`
  const path = '/api/v1/namespaces/kube-public/configmaps'
  const made = await plane.call('POST', path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } })
  if (made.status !== 201) faults.push(`before the disk was filled a create was answered with ${made.status}`)
  disk.fill(leave)
  const becomes = (what: string, check: () => Promise<boolean>): Promise<unknown> =>
    until(what, check, { ms: 15_000, everyMs: 100 }).catch((error: Error) => faults.push(error.message))
  await becomes(
    'creates are refused with 507',
    async () =>
      (await plane.call('POST', path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'late-' } })).status === 507
  )
  await becomes('deletes go on', async () => [200, 404].includes((await plane.call('DELETE', `${path}/${name}`)).status))
  if ((await plane.call('GET', '/readyz/disk')).status !== 500) faults.push('/readyz/disk says that all is well')
  await wait(seconds * 1_000)
  disk.empty()
  return faults
}

export const liveRound = async (scene: Scene, round: Exclude<Round, { kind: 'corrupt' }>): Promise<Seen> => {
  const { cluster, load } = scene
  const faults: string[] = []
  await wait(REST_MS)
  const before = cluster.processes()
  const began = performance.now()
  if (round.kind === 'kill') await kill(scene, round)
  else if (round.kind === 'freeze') await freeze(scene, round)
  else faults.push(...(await fill(scene, round)))
  if (!(await load.more(ENOUGH, BACK_MS))) faults.push(`no ${ENOUGH} writes within ${BACK_MS / 1000} s after it was over`)
  const deadline = performance.now() + 15_000
  while (!(await cluster.isReady().catch(() => false))) {
    if (performance.now() > deadline) {
      faults.push('not ready 15 s after writes were acknowledged again')
      break
    }
    await wait(50)
  }
  const after = cluster.processes()
  const changed = [
    before.control?.pid === after.control?.pid ? '' : 'control plane',
    before.nats?.pid === after.nats?.pid ? '' : 'nats-server'
  ].filter((name) => name !== '')
  return {
    outageMs: load.outage(began, performance.now()),
    note: changed.length === 0 ? 'the same processes' : `started again: ${changed.join(', ')}`,
    faults
  }
}
