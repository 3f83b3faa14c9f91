/** One seed: a script of commands and faults, then quiet, then everything must be right; or a damaged log, which nobody may serve. */
import { createHash } from 'node:crypto'
import { kindOf } from '#test/support/builtIns.ts'
import { checkDamaged } from './damaged.ts'
import { checkLog, checkViews, checkWatch, strayContainers, unsettled } from './invariants.ts'
import { checkLeases } from './leading.ts'
import { checkBindings, lostPods } from './published.ts'
import { DEPLOYMENTS, Script } from './script.ts'
import { Traffic } from './traffic.ts'
import { Watch } from './Watch.ts'
import { Witness } from './Witness.ts'
import { World, type WorldOptions } from './World.ts'

const STEPS = 30
const QUIET_MS = 45 * 60_000
/** Everything else is as it should be, and rules are not for so long: a refused text is tried again, a flush is looked for. */
const TRAFFIC_MS = 100_000
const LOOK_MS = 10_000
/** What clients watch: all of a kind, and what begins and ceases to match. */
const WATCHED = [
  [{ group: '', resource: 'pods' }, ''],
  [{ group: '', resource: 'pods' }, 'fieldSelector=spec.nodeName%3Dn1'],
  [{ group: '', resource: 'pods' }, 'labelSelector=app%3Dapp0'],
  [DEPLOYMENTS, ''],
  [{ group: '', resource: 'configmaps' }, '']
] as const

export interface Outcome {
  readonly faults: readonly string[]
  readonly events: number
  /** Of everything that happened: the same seed must give the same. */
  readonly hash: string
}

export const simulate = async (seed: number, options: Partial<Omit<WorldOptions, 'seed'>> = {}): Promise<Outcome> => {
  const hash = createHash('sha256')
  const world = new World({
    nodes: 3,
    ...options,
    seed,
    trace: (line) => {
      hash.update(line)
      options.trace?.(line)
    }
  })
  const { clock } = world
  world.trace(JSON.stringify(world.mixture))
  let started = false
  void world.start().then(() => (started = true))
  const account = (): boolean =>
    world.apis.every(
      ({ views }) => views.get({ group: '', resource: 'serviceaccounts', namespace: 'default', name: 'default' }) !== undefined
    )
  if (!(await clock.run(120_000, () => started && account())))
    return { faults: ['the world did not start', ...world.errors], events: 0, hash: '' }

  const script = new Script(world)
  watch(world, seed)
  // The first of each exists before anything goes wrong with it.
  for (const name of script.names) void script.deploy(name)
  script.serve()
  const witness = new Witness(world)
  const traffic = new Traffic(world)
  for (let n = 0; n < STEPS; n++) {
    await clock.run(200 + clock.random() * 8_000)
    script.step()
    witness.look()
    traffic.look()
  }
  world.heal()
  await clock.run(30_000)
  const faults =
    world.mixture.ending === 'quiet' ? await quiet(world, script, witness, traffic) : await checkDamaged(world, world.mixture.ending)
  faults.push(...world.errors)
  const events = await world.logs.EVENTS.lastSequence()
  for (let sequence = 1; sequence <= events; sequence++) {
    const entry = await world.logs.EVENTS.get(sequence)
    hash.update(`${entry?.subject} ${entry?.time} ${entry?.text}`)
  }
  for (const { told } of world.watches) hash.update(JSON.stringify(told))
  world.stop()
  return { faults, events, hash: hash.digest('hex') }
}

/** Clients whose connections break now and then, or soon. */
const watch = (world: World, seed: number): void => {
  const { clock } = world
  for (const at of [seed, seed + 2, seed + 3]) {
    const [ref, query] = WATCHED[at % WATCHED.length] as (typeof WATCHED)[number]
    const kind = kindOf(ref)
    if (kind === undefined) throw new Error(`no kind ${ref.resource}`)
    const one = new Watch({
      kind,
      query,
      clock,
      server: () => world.server(),
      lasts: () => (world.faults ? clock.random() * (clock.random() < 0.5 ? 3_000 : 60_000) : 3_600_000),
      onFault: (fault) => world.fault(fault)
    })
    world.watches.push(one)
    void one.run().catch((error: unknown) => world.fault(`a watch of ${ref.resource} ended: ${String(error)}`))
  }
}

const quiet = async (world: World, script: Script, witness: Witness, traffic: Traffic): Promise<string[]> => {
  const { clock } = world
  await script.mend((promise) => drive(clock, promise))
  let open: string[] = []
  const settled = (): boolean => (open = unsettled(world)).length === 0
  for (let waited = 0; waited < QUIET_MS && !settled(); waited += 20_000) await clock.run(20_000)
  await clock.run(30_000)
  const faults = unsettled(world).map((what) => `not converged: ${what}`)
  if (open.length > 0 && faults.length === 0) faults.push(...open.map((what) => `not converged in time: ${what}`))
  await arrived(world)
  let astray = await traffic.open()
  for (let waited = 0; waited < TRAFFIC_MS && astray.length > 0; waited += LOOK_MS) {
    await clock.run(LOOK_MS)
    astray = await traffic.open()
  }
  // Of the last second's events some may still be on their way to a client.
  const told = await world.logs.EVENTS.lastSequence()
  faults.push(
    ...(await checkLog(world)),
    ...(await checkViews(world)),
    ...(await strayContainers(world)),
    ...(await lostPods(world)),
    ...checkLeases(world),
    ...(await checkBindings(world)),
    ...(await witness.faults()),
    ...astray,
    ...(await traffic.faults())
  )
  await clock.run(1_000)
  for (const one of world.watches) faults.push(...(await checkWatch(world, one, told)))
  return faults
}

/** Nodes beat to the end: what is on its way when the time is over arrives before anything is compared. */
const arrived = async (world: World): Promise<void> => {
  const { api, clock } = world
  for (let tries = 0; tries < 100; tries++) {
    const views = [...(api?.views.byStream.values() ?? [])]
    const behind = await Promise.all(views.map(async (view) => view.objects.sequence < (await view.log.lastSequence())))
    if (!behind.includes(true)) return
    await clock.run(1)
  }
}

/** Lets time pass until a promise settles. */
const drive = async (clock: World['clock'], promise: Promise<unknown>): Promise<void> => {
  let done = false
  void promise.finally(() => (done = true))
  await clock.run(60_000, () => done)
}
