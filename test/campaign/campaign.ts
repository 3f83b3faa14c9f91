/** A fault campaign: rounds chosen by a seed against one cluster under load, and what came of each. */
import { setTimeout as wait } from 'node:timers/promises'
import { smallDisk, type SmallDisk } from '#test/support/smallDisk.ts'
import { makeCluster, type CampaignCluster } from './cluster.ts'
import { cleanUp, COMPONENTS, containerWatch, prepare } from './containers.ts'
import { corruptRound, makeBase, removeBase, type Base } from './corrupt.ts'
import { liveRound } from './live.ts'
import { Load } from './load.ts'
import { nameOf, planOf, type PlanOptions, type Round } from './plan.ts'
import { Reflector } from './reflector.ts'
import { verdictOf, type Verdict } from './verdict.ts'

export interface CampaignOptions extends PlanOptions {
  /** With an agent and real containers, which must not be touched. */
  readonly containers: boolean
  readonly say: (line: string) => void
}

export interface Result {
  readonly number: number
  readonly name: string
  readonly outageMs?: number
  readonly outcome: string
  readonly faults: readonly string[]
}

export interface Outcome {
  readonly results: readonly Result[]
  /** Of the cluster at work; absent when there were no rounds on it. */
  readonly verdict?: Verdict
  readonly faults: readonly string[]
}

/** Sparse: only what is written takes room on the machine. */
const DISK_MIB = 8_192
const REFLECTORS = 2
/** Sixteen writers as fast as they can would mostly measure the machine; this leaves them some hundred a second. */
const REST_MS = 10
const PATH = '/api/v1/namespaces/default/configmaps'

/** The last change of all, which every watcher must get to. */
const mark = async ({ plane }: CampaignCluster): Promise<number> => {
  const { status, body } = await plane.call('POST', PATH, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'the-end-' } })
  if (status !== 201) throw new Error(`the last write was answered with ${status}: ${body}`)
  return Number((JSON.parse(body) as { metadata: { resourceVersion: string } }).metadata.resourceVersion)
}

const atWork = async (
  rounds: readonly (readonly [number, Exclude<Round, { kind: 'corrupt' }>])[],
  { containers, say }: CampaignOptions,
  results: Result[]
): Promise<Verdict> => {
  const disk: SmallDisk = smallDisk(DISK_MIB)
  const cluster = await makeCluster(disk.path, containers ? COMPONENTS : 'apiserver')
  const load = new Load(cluster.plane, 'campaign', { restMs: REST_MS })
  try {
    if (containers) await prepare(cluster)
    await cluster.start()
    const watch = containers ? await containerWatch(cluster) : undefined
    const reflectors = Array.from({ length: REFLECTORS }, (_, number) => new Reflector(cluster.plane, `watcher ${number}`))
    for (const reflector of reflectors) await reflector.start()
    load.start()
    if (!(await load.more(200, 60_000))) throw new Error(`the load does not begin\n${cluster.log()}`)
    for (const [number, round] of rounds) {
      const { outageMs, note, faults } = await liveRound({ cluster, load, disk }, round)
      const result: Result = {
        number,
        name: nameOf(round),
        outageMs,
        outcome: note,
        faults: [...faults, ...((await watch?.disturbed()) ?? [])]
      }
      results.push(result)
      say(lineOf(result))
    }
    await load.stop()
    const last = await mark(cluster)
    const late: string[] = []
    for (const [number, reflector] of reflectors.entries())
      if (!(await reflector.stop(last, 30_000))) late.push(`watcher ${number} did not get to the end within 30 s`)
    say(
      `watches began ${reflectors.map(({ watches }) => watches).join(' and ')} times; refused: ${text(load.codes)}; without an answer: ${text(load.unknown)}`
    )
    const supervisor = await cluster.supervisor()
    say(`the control plane was started again ${supervisor?.restarts ?? 0} times`)
    const { faults, ...verdict } = await verdictOf(cluster.plane, [load], reflectors)
    return { ...verdict, faults: [...late, ...faults] }
  } finally {
    disk.empty()
    await load.stop()
    await cluster.stop()
    if (containers) await cleanUp(cluster)
    await cluster.remove()
    // What was mounted is free once nobody has it open any more.
    await wait(50)
    disk.remove()
  }
}

const text = (counts: ReadonlyMap<unknown, number>): string =>
  counts.size === 0 ? 'none' : [...counts].map(([what, count]) => `${count} × ${what}`).join(', ')

export const lineOf = ({ number, name, outageMs, outcome, faults }: Result): string =>
  `${faults.length === 0 ? 'ok  ' : 'FAIL'} ${String(number).padStart(3)}  ${name}${outageMs === undefined ? '' : `; no write for ${Math.round(outageMs)} ms`}; ${outcome}${faults.map((fault) => `\n          ${fault}`).join('')}`

export const campaign = async (options: CampaignOptions): Promise<Outcome> => {
  const plan = planOf(options).map((round, at) => [at + 1, round] as const)
  const live = plan.filter((entry): entry is readonly [number, Exclude<Round, { kind: 'corrupt' }>] => entry[1].kind !== 'corrupt')
  const results: Result[] = []
  const verdict = live.length === 0 ? undefined : await atWork(live, options, results)
  const bases = new Map<string, Base>()
  try {
    for (const [number, round] of plan) {
      if (round.kind !== 'corrupt') continue
      const base = bases.get(round.stopped) ?? (await makeBase(round.stopped))
      bases.set(round.stopped, base)
      const result: Result = { number, name: nameOf(round), ...(await corruptRound(base, round)) }
      results.push(result)
      options.say(lineOf(result))
    }
  } finally {
    for (const base of bases.values()) await removeBase(base)
  }
  return {
    results,
    ...(verdict === undefined ? {} : { verdict }),
    faults: [...results.flatMap(({ number, faults }) => faults.map((fault) => `round ${number}: ${fault}`)), ...(verdict?.faults ?? [])]
  }
}
