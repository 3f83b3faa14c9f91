/** What people do and what goes wrong, step by step, drawn from the world's own chance. */
import type { KubeObject } from '#events/KubeObject.ts'
import { BAD_IMAGE, type World } from './World.ts'

export const DEPLOYMENTS = { group: 'apps', resource: 'deployments' }
const PODS = { group: '', resource: 'pods' }
const SERVICES = { group: '', resource: 'services' }
const CONFIGMAPS = { group: '', resource: 'configmaps' }
/** What an intent with a generated name is known by in the log, whatever its event is called. */
export const ASKED = 'asked'
const SERVICE_NAMES = 12

const containers = (image: string): object[] => [{ name: 'c', image, readinessProbe: { httpGet: { port: 80 }, periodSeconds: 1 } }]

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
        strategy: this.#chance(0.15) ? { type: 'Recreate' } : { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 + this.#below(2), maxUnavailable: this.#below(2) } },
        template: { metadata: { labels: { app: name } }, spec: { terminationGracePeriodSeconds: 2, containers: containers('good:1') } }
      }
    })
  }
  #merge(name: string, body: unknown): Promise<unknown> {
    return this.#world.person({ verb: 'patch', ref: DEPLOYMENTS, namespace: 'default', name, patch: { type: 'application/merge-patch+json', body } })
  }
  image(name: string, image: string): Promise<unknown> {
    return this.#merge(name, { spec: { template: { spec: { containers: containers(image) } } } })
  }
  #undeploy(name: string, propagationPolicy: 'Background' | 'Foreground'): Promise<unknown> {
    return this.#world.person({ verb: 'delete', ref: DEPLOYMENTS, namespace: 'default', name, deleteOptions: { propagationPolicy } })
  }
  #pod(): void {
    const pod = this.#pick(this.#world.api?.views.collection(PODS).list('default') ?? [])
    if (pod !== undefined) void this.#world.person({ verb: 'delete', ref: PODS, namespace: 'default', name: pod.key.name, ...(this.#chance(0.2) ? { deleteOptions: { gracePeriodSeconds: 0 } } : {}) })
  }
  #service(): void {
    const name = `svc${this.#below(SERVICE_NAMES)}`
    if (this.#chance(0.3)) return void this.#world.person({ verb: 'delete', ref: SERVICES, namespace: 'default', name })
    const type = this.#chance(0.4) ? 'NodePort' : 'ClusterIP'
    void this.#create(SERVICES, name, { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' }, spec: { type, selector: { app: this.#name() }, ports: [{ port: 80 }] } })
  }
  /** A ConfigMap whose name the server makes up, owned by up to two Deployments as they are now. */
  #generated(): void {
    const deployments = this.#world.api?.views.collection(DEPLOYMENTS).list('default') ?? []
    const ownerReferences = deployments.slice(0, this.#below(3)).map(({ object }) => ({ apiVersion: 'apps/v1', kind: 'Deployment', name: object.metadata.name as string, uid: object.metadata.uid as string }))
    const asked = `a${this.#asked++}`
    void this.#create(CONFIGMAPS, '', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'made-', namespace: 'default', labels: { [ASKED]: asked }, ...(ownerReferences.length === 0 ? {} : { ownerReferences }) } })
  }
  /** A service dies; it is back after a while, or after so long that its node is given up. */
  #crash(): void {
    const world = this.#world
    const name = this.#pick(world.crashable()) as string
    const long = world.machines.has(name) && this.#chance(world.mixture.nodeLoss * 5)
    world.stopService(name)
    world.clock.after(500 + this.#below(long ? 600_000 : 20_000), () => void world.restart(name))
  }
  #crashApi(): void {
    const world = this.#world
    const n = world.apiServers > 1 ? this.#below(world.apiServers) : 0
    if (!world.serving(n)) return
    world.stopApi(n)
    world.clock.after(500 + this.#below(10_000), () => void world.startApi(n))
  }
  /** A container dies by itself. */
  #kill(): void {
    const runtime = this.#pick([...this.#world.machines].map(([, one]) => one))
    void runtime?.list().then((found) => {
      const one = this.#pick(found.filter(({ state, identity }) => state === 'running' && identity.container !== ''))
      if (one !== undefined) runtime.kill(one.id)
    })
  }
  step(): void {
    const world = this.#world
    const { mixture } = world
    if (this.#chance(mixture.partition)) {
      const apis = Array.from({ length: world.apiServers }, (_, n) => `api ${n}`)
      return world.partition(this.#pick([...world.crashable(), ...apis, ...apis, ...apis]) as string, 500 + this.#below(this.#chance(0.3) ? 60_000 : 8_000))
    }
    if (this.#chance(mixture.full)) return world.fill(1_000 + this.#below(20_000))
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
      () => world.outage(100 + this.#below(8_000)),
      () => this.#kill()
    ]
    void this.#pick(actions)?.()
  }
  /** What people leave behind must be able to work. */
  async mend(settled: (promise: Promise<unknown>) => Promise<void>): Promise<void> {
    for (const name of this.names) {
      const image = this.#world.object(DEPLOYMENTS, name)?.['spec'].template.spec.containers[0].image as string | undefined
      if (image === BAD_IMAGE) await settled(this.image(name, 'good:9'))
    }
  }
}
