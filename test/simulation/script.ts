/** What people do and what goes wrong, step by step, drawn from the world's own chance. */
import { at } from '#test/support/kinds.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { LOG } from './Network.ts'
import { BAD_IMAGE, type World } from './World.ts'

export const DEPLOYMENTS = { group: 'apps', resource: 'deployments' }
const PODS = { group: '', resource: 'pods' }
const SERVICES = { group: '', resource: 'services' }
const SLICES = { group: 'discovery.k8s.io', resource: 'endpointslices' }
const CONFIGMAPS = { group: '', resource: 'configmaps' }
/** What an intent with a generated name is known by in the log, whatever its event is called. */
export const ASKED = 'asked'
export const SERVICE_NAMES = 12
/** Slices that people keep themselves. */
const HAND_MADE = 2
/** Of these Services, which are there more often than not. */
const SERVED_BY_HAND = 3
/** More than fit on the nodes. */
const BULKS = 9

const containers = (image: string): object[] => [
  { name: 'c', image, resources: { requests: { cpu: '200m' } }, readinessProbe: { httpGet: { port: 80 }, periodSeconds: 1 } }
]

export class Script {
  readonly names: readonly string[]
  readonly #world: World
  #asked = 0

  constructor(world: World) {
    this.#world = world
    this.names = Array.from({ length: 1 + this.#below(3) }, (_, n) => `app${n}`)
  }
  #below(n: number): number {
    return Math.floor(this.#world.clock.random() * n)
  }
  #chance(part: number): boolean {
    return this.#world.clock.random() < part
  }
  #pick<Item>(items: readonly Item[]): Item | undefined {
    return items[this.#below(items.length)]
  }
  #name(): string {
    return this.#pick(this.names) as string
  }
  #create(ref: { group: string; resource: string }, name: string, object: KubeObject): Promise<unknown> {
    return this.#world.person({ verb: 'create', ref, namespace: 'default', name, object })
  }
  deploy(name = this.#name()): Promise<unknown> {
    return this.#create(DEPLOYMENTS, name, {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: 'default' },
      spec: {
        replicas: 1 + this.#below(5),
        selector: { matchLabels: { app: name } },
        strategy: this.#chance(0.15)
          ? { type: 'Recreate' }
          : { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 + this.#below(2), maxUnavailable: this.#below(2) } },
        template: { metadata: { labels: { app: name } }, spec: { terminationGracePeriodSeconds: 2, containers: containers('good:1') } }
      }
    })
  }
  #merge(name: string, body: unknown): Promise<unknown> {
    return this.#world.person({
      verb: 'patch',
      ref: DEPLOYMENTS,
      namespace: 'default',
      name,
      patch: { type: 'application/merge-patch+json', body }
    })
  }
  image(name: string, image: string): Promise<unknown> {
    return this.#merge(name, { spec: { template: { spec: { containers: containers(image) } } } })
  }
  #undeploy(name: string, propagationPolicy: 'Background' | 'Foreground'): Promise<unknown> {
    return this.#world.person({ verb: 'delete', ref: DEPLOYMENTS, namespace: 'default', name, deleteOptions: { propagationPolicy } })
  }
  #pod(): void {
    const pod = this.#pick(this.#world.api?.views.collection(PODS).list('default') ?? [])
    if (pod !== undefined)
      void this.#world.person({
        verb: 'delete',
        ref: PODS,
        namespace: 'default',
        name: pod.key.name,
        ...(this.#chance(0.2) ? { deleteOptions: { gracePeriodSeconds: 0 } } : {})
      })
  }
  /** What the slices that people keep are of. */
  serve(): void {
    for (let n = 0; n < SERVED_BY_HAND; n++) this.#serve(`svc${n}`)
    for (let n = 0; n < HAND_MADE; n++) this.#slice(`hand${n}`, 'create')
  }
  #service(): void {
    const name = `svc${this.#below(SERVICE_NAMES)}`
    if (this.#chance(0.3)) return void this.#world.person({ verb: 'delete', ref: SERVICES, namespace: 'default', name })
    if (this.#chance(0.2)) {
      const patch = { type: 'application/merge-patch+json', body: { spec: { selector: { app: this.#name() } } } } as const
      return void this.#world.person({ verb: 'patch', ref: SERVICES, namespace: 'default', name, patch })
    }
    this.#serve(name)
  }
  #serve(name: string): void {
    const type = this.#chance(0.4) ? 'NodePort' : 'ClusterIP'
    void this.#create(SERVICES, name, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'default' },
      spec: {
        type,
        selector: { app: this.#name() },
        ports: [{ port: 80 }],
        ...(type === 'ClusterIP' && this.#chance(0.2) ? { clusterIP: 'None' } : {})
      }
    })
  }
  /** Endpoints outside of the cluster, of one Service and then of another. */
  #slice(
    name = `hand${this.#below(HAND_MADE)}`,
    verb = this.#pick(['create', 'delete', 'patch', 'patch', 'patch', 'patch'] as const)
  ): void {
    const about = { ref: SLICES, namespace: 'default', name }
    if (verb === 'delete') return void this.#world.person({ verb, ...about })
    const labels = { 'kubernetes.io/service-name': `svc${this.#below(SERVED_BY_HAND)}` }
    if (verb === 'patch')
      return void this.#world.person({
        verb,
        ...about,
        patch: { type: 'application/merge-patch+json', body: { metadata: { labels } } }
      })
    void this.#create(SLICES, name, {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, namespace: 'default', labels },
      addressType: 'IPv4',
      endpoints: [{ addresses: [`198.51.100.${1 + this.#below(9)}`] }],
      ports: [{ name: '', protocol: 'TCP', port: 8080 }]
    })
  }
  /** On some node somebody flushes a table of the packet filter. */
  #flush(): void {
    const { machines } = this.#world
    const node = this.#pick(machines.names)
    if (node !== undefined) machines.filter(node).meddle(this.#pick(['nat', 'filter'] as const) ?? 'nat')
  }
  /** A ConfigMap whose name the server makes up, owned by up to two Deployments as they are now. */
  #generated(): void {
    const deployments = this.#world.api?.views.collection(DEPLOYMENTS).list('default') ?? []
    const ownerReferences = deployments.slice(0, this.#below(3)).map(({ object }) => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      name: object.metadata.name as string,
      uid: object.metadata.uid as string
    }))
    const asked = `a${this.#asked++}`
    void this.#create(CONFIGMAPS, '', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        generateName: 'made-',
        namespace: 'default',
        labels: { [ASKED]: asked },
        ...(ownerReferences.length === 0 ? {} : { ownerReferences })
      }
    })
  }
  /** A service ends, mostly without a word; it is back after a while, or after so long that its node is given up. */
  #crash(): void {
    const world = this.#world
    const name = this.#pick(world.crashable())
    if (name === undefined) return
    const long = world.machines.has(name) && this.#chance(world.mixture.nodeLoss * 5)
    if (this.#chance(0.3)) void world.stopService(name)
    else world.crash(name)
    world.clock.after(2_500 + this.#below(long ? 600_000 : 20_000), () => void world.restart(name))
  }
  #crashApi(): void {
    const world = this.#world
    const n = this.#below(world.apiServers)
    if (!world.serving(n)) return
    if (this.#chance(0.3)) void world.stopApi(n)
    else world.crashApi(n)
    world.clock.after(2_500 + this.#below(10_000), () => void world.startApi(n))
  }
  #powerOff(): void {
    const world = this.#world
    const node = this.#pick(world.machines.names.filter((name) => !world.down.includes(name)))
    if (node === undefined) return
    world.powerOff(node)
    world.clock.after(1_000 + this.#below(this.#chance(0.5) ? 20_000 : 400_000), () => void world.restart(node))
  }
  /** Ways are cut, in one direction or both: between two places, from one to all API servers, or from one to everything. */
  #cut(): void {
    const world = this.#world
    const places = world.places()
    const one = this.#pick(places.filter((place) => place !== LOG)) as string
    const rest = places.filter((place) => place !== one)
    const ms = 500 + this.#below(this.#chance(0.3) ? 60_000 : 8_000)
    const others = this.#pick([rest, rest.filter((place) => place.startsWith('api ')), [LOG], [this.#pick(rest) as string]]) as string[]
    const ways = this.#pick(['there', 'back', 'both', 'both'] as const)
    for (const other of others) {
      if (ways !== 'back') world.cut(one, other, ms)
      if (ways !== 'there') world.cut(other, one, ms)
    }
  }
  /** Long enough, now and then, that whoever leads is given up, and then goes on. */
  #pause(): void {
    const { processes } = this.#world
    const name = this.#pick(processes)?.name
    if (name === undefined) return
    const ms = 500 + this.#below(this.#chance(0.5) ? 60_000 : 10_000)
    // Often it is the whole machine that stands still, with all of the control plane that is on it.
    const together = name.includes(' ') && this.#chance(0.6) ? processes.filter((one) => one.name.split(' ')[1] === name.split(' ')[1]) : []
    for (const one of new Set([name, ...together.map((one) => one.name)])) this.#world.pause(one, ms)
  }
  /** A pod of its own that takes a large part of a node: so many, and there is no room for all. */
  #bulk(): void {
    const name = `bulk${this.#below(BULKS)}`
    if (this.#chance(0.25)) return void this.#world.person({ verb: 'delete', ref: PODS, namespace: 'default', name })
    const container = { name: 'c', image: 'good:1', resources: { requests: { cpu: '1300m' } } }
    void this.#create(PODS, name, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default', labels: { bulk: 'true' } },
      spec: { terminationGracePeriodSeconds: 2, containers: [container] }
    })
  }
  /** Containers die by themselves, soon. */
  #kill(): void {
    const { clock, machines } = this.#world
    for (let n = this.#below(3); n >= 0; n--)
      clock.after(this.#below(1_000), () => {
        const runtime = this.#pick([...machines].map(([, one]) => one))
        void runtime?.list().then((found) => {
          const one = this.#pick(found.filter(({ state, identity }) => state === 'running' && identity.container !== ''))
          if (one !== undefined) runtime.kill(one.id)
        })
      })
  }
  step(): void {
    const world = this.#world
    const { mixture } = world
    if (this.#chance(mixture.partition)) return this.#cut()
    if (this.#chance(mixture.pause)) return this.#pause()
    if (this.#chance(mixture.power)) return this.#powerOff()
    if (this.#chance(mixture.filter / 2)) this.#flush()
    if (this.#chance(0.3)) this.#slice()
    if (this.#chance(mixture.full)) {
      world.fill(1_000 + this.#below(20_000))
      // What can't be written down goes on happening.
      return this.#kill()
    }
    const name = this.#name()
    const actions: (() => unknown)[] = [
      () => this.deploy(name),
      () => this.#merge(name, { spec: { replicas: this.#below(6) } }),
      () => this.image(name, this.#chance(0.25) ? BAD_IMAGE : `good:${1 + this.#below(4)}`),
      () => this.#pod(),
      () => this.#undeploy(name, this.#pick(['Background', 'Foreground', 'Foreground'] as const) as 'Background'),
      // The name is another one's while the children of the first are still there.
      () => this.#undeploy(name, 'Background').then(() => this.deploy(name)),
      () => (this.#service(), this.#service(), this.#service()),
      () => (this.#generated(), this.#generated()),
      () => this.#crash(),
      () => this.#crashApi(),
      () => world.outage(100 + this.#below(8_000), this.#pick(['frozen', 'gone'] as const) ?? 'gone'),
      () => (this.#bulk(), this.#bulk(), this.#bulk()),
      () => this.#kill()
    ]
    void this.#pick(actions)?.()
  }
  /** What people leave behind must be able to work. */
  async mend(settled: (promise: Promise<unknown>) => Promise<void>): Promise<void> {
    for (const name of this.names) {
      const image = at(this.#world.object(DEPLOYMENTS, name), 'spec.template.spec.containers.0.image') as string | undefined
      if (image === BAD_IMAGE) await settled(this.image(name, 'good:9'))
    }
    const bulks = (this.#world.api?.views.collection(PODS).list('default') ?? []).filter(
      ({ object }) => object.metadata.labels?.['bulk'] !== undefined
    )
    for (const { key } of bulks) await settled(this.#world.person({ verb: 'delete', ref: PODS, namespace: 'default', name: key.name }))
  }
}
