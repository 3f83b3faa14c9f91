/** One seed: a script of commands and faults, then quiet, then everything must be right. */
import { createHash } from 'node:crypto'
import type { KubeObject } from '#events/KubeObject.ts'
import { checkLog, checkViews, strayContainers, unsettled } from './invariants.ts'
import { BAD_IMAGE, World, type WorldOptions } from './World.ts'

const DEPLOYMENTS = { group: 'apps', resource: 'deployments' }
const PODS = { group: '', resource: 'pods' }
const SERVICES = { group: '', resource: 'services' }
const QUIET_MS = 45 * 60_000

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
  const below = (n: number): number => Math.floor(clock.random() * n)
  const pick = <Item>(items: readonly Item[]): Item | undefined => items[below(items.length)]
  let started = false
  void world.start().then(() => (started = true))
  const account = (): boolean => world.object({ group: '', resource: 'serviceaccounts' }, 'default') !== undefined
  if (!(await clock.run(120_000, () => started && account()))) return { faults: ['the world did not start'], events: 0, hash: '' }

  const names = Array.from({ length: 1 + below(3) }, (_, n) => `app${n}`)
  const deployment = (name: string): KubeObject => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      replicas: 1 + below(5),
      selector: { matchLabels: { app: name } },
      strategy: clock.random() < 0.15 ? { type: 'Recreate' } : { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 + below(2), maxUnavailable: below(2) } },
      template: { metadata: { labels: { app: name } }, spec: { terminationGracePeriodSeconds: 2, containers: [{ name: 'c', image: 'good:1', readinessProbe: { httpGet: { port: 80 }, periodSeconds: 1 } }] } }
    }
  })
  const merge = (name: string, body: unknown): Promise<unknown> => world.person({ verb: 'patch', ref: DEPLOYMENTS, namespace: 'default', name, patch: { type: 'application/merge-patch+json', body } })
  const actions: (() => void)[] = [
    () => void world.person({ verb: 'create', ref: DEPLOYMENTS, namespace: 'default', name: pick(names) as string, object: deployment(pick(names) as string) }),
    () => void merge(pick(names) as string, { spec: { replicas: below(6) } }),
    () => void merge(pick(names) as string, { spec: { template: { spec: { containers: [{ name: 'c', image: clock.random() < 0.25 ? BAD_IMAGE : `good:${1 + below(4)}`, readinessProbe: { httpGet: { port: 80 }, periodSeconds: 1 } }] } } } }),
    () => {
      const pod = pick(world.api?.views.collection(PODS).list('default') ?? [])
      if (pod !== undefined) void world.person({ verb: 'delete', ref: PODS, namespace: 'default', name: pod.key.name, ...(clock.random() < 0.2 ? { deleteOptions: { gracePeriodSeconds: 0 } } : {}) })
    },
    () => void world.person({ verb: 'delete', ref: DEPLOYMENTS, namespace: 'default', name: pick(names) as string, deleteOptions: { propagationPolicy: pick(['Background', 'Foreground'] as const) as 'Background' } }),
    () => {
      const name = pick(names) as string
      void world.person({ verb: 'create', ref: SERVICES, namespace: 'default', name, object: { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' }, spec: { selector: { app: name }, ports: [{ port: 80 }] } } })
    },
    // A service dies; it is back after a while.
    () => {
      const name = pick(world.crashable()) as string
      world.stopService(name)
      clock.after(500 + below(20_000), () => void world.restart(name))
    },
    () => {
      const n = world.apiServers > 1 ? below(world.apiServers) : 0
      if (!world.serving(n)) return
      world.stopApi(n)
      clock.after(500 + below(10_000), () => void world.startApi(n))
    },
    () => world.outage(100 + below(8_000)),
    // A container dies by itself.
    () => {
      const runtime = pick([...world.runtimes.values()])
      void runtime?.list().then((found) => {
        const one = pick(found.filter(({ state, identity }) => state === 'running' && identity.container !== ''))
        if (one !== undefined) runtime.kill(one.id)
      })
    }
  ]
  // The first of each exists before anything goes wrong with it.
  for (const name of names) void world.person({ verb: 'create', ref: DEPLOYMENTS, namespace: 'default', name, object: deployment(name) })
  for (let n = 0; n < 25; n++) {
    await clock.run(200 + below(8_000))
    pick(actions)?.()
  }
  world.trace('quiet')
  world.faults = false
  await clock.run(30_000)
  // What people leave behind must be able to work.
  for (const name of names) if ((world.object(DEPLOYMENTS, name)?.['spec'].template.spec.containers[0].image as string | undefined) === BAD_IMAGE) await drive(clock, merge(name, { spec: { template: { spec: { containers: [{ name: 'c', image: 'good:9', readinessProbe: { httpGet: { port: 80 }, periodSeconds: 1 } }] } } } }))
  let open: string[] = []
  const settled = (): boolean => (open = unsettled(world)).length === 0
  for (let waited = 0; waited < QUIET_MS && !settled(); waited += 20_000) await clock.run(20_000)
  await clock.run(30_000)
  const faults = [...unsettled(world).map((what) => `not converged: ${what}`)]
  if (open.length > 0 && faults.length === 0) faults.push(...open.map((what) => `not converged in time: ${what}`))
  await arrived(world)
  faults.push(...(await checkLog(world)), ...(await checkViews(world)), ...(await strayContainers(world)), ...world.errors.map((error) => `unexpected error: ${error}`))
  const events = await world.logs.EVENTS.lastSequence()
  for (let sequence = 1; sequence <= events; sequence++) {
    const entry = await world.logs.EVENTS.get(sequence)
    hash.update(`${entry?.subject} ${entry?.time} ${entry?.text}`)
  }
  world.stop()
  return { faults, events, hash: hash.digest('hex') }
}

/** Nodes beat to the end: what is on its way when the time is over arrives before anything is compared. */
const arrived = async ({ api, clock }: World): Promise<void> => {
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
