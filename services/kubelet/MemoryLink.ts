/** The agent's link in memory: for tests and the simulation. */
import type { Binding, Fate, FateAnswer, NoticeReport, Origin, PodReport, Pulse, Stray } from '#events/node/messages.ts'
import type { Subscription } from '#events/Log.ts'
import type { BindingUpdate, NodeLink } from '#services/platform/NodeLink.ts'

export class MemoryLink implements NodeLink {
  readonly #bindings = new Map<string, BindingUpdate>()
  readonly #followers = new Set<(update: BindingUpdate) => void>()
  readonly #listeners = new Set<() => void>()
  readonly reports: { readonly namespace: string; readonly name: string; readonly report: PodReport }[] = []
  readonly notices: NoticeReport[] = []
  readonly pulses: Pulse[] = []
  /** What the log says of pods, by uid: bound ones are alive, unbound ones gone, all others unknown. */
  readonly log = new Map<string, Fate>()
  /** Every question that was asked. */
  readonly asked: (readonly Stray[])[] = []
  origin: Origin = { cluster: 'memory', epoch: 0 }
  /** While true nobody answers, and nothing is stored. */
  away = false

  bind(binding: Binding): void {
    const { namespace = '', name = '', uid = '' } = binding.pod.metadata ?? {}
    this.log.set(uid, 'alive')
    this.#put({ namespace, name, binding, origin: this.origin })
  }
  unbind(namespace: string, name: string, lost = false): void {
    const uid = this.#bindings.get(`${namespace}/${name}`)?.binding?.pod.metadata?.uid
    if (uid !== undefined) this.log.set(uid, lost ? 'lost' : 'gone')
    this.#put({ namespace, name, binding: null, origin: this.origin, ...(lost ? { lost: true } : {}) })
  }
  /** As a stream that was made anew: nobody is told. */
  wipe(): void {
    this.#bindings.clear()
  }
  async fates(pods: readonly Stray[]): Promise<FateAnswer> {
    this.asked.push(pods)
    for (const listener of this.#listeners) listener()
    if (this.away) throw new Error('nobody answers')
    return { origin: this.origin, fates: pods.map(({ uid }) => this.log.get(uid) ?? 'unknown') }
  }
  #put(update: BindingUpdate): void {
    this.#bindings.set(`${update.namespace}/${update.name}`, update)
    for (const follower of this.#followers) follower(update)
  }
  bindings({ onUpdate, onCaughtUp }: Parameters<NodeLink['bindings']>[0]): Subscription {
    for (const update of this.#bindings.values()) onUpdate(update)
    this.#followers.add(onUpdate)
    onCaughtUp()
    return { close: () => void this.#followers.delete(onUpdate) }
  }
  async reportPod(namespace: string, name: string, report: PodReport): Promise<void> {
    this.reports.push({ namespace, name, report })
    for (const listener of this.#listeners) listener()
  }
  async reportNotice(_namespace: string, _name: string, notice: NoticeReport): Promise<void> {
    if (this.away) throw new Error('nobody answers')
    this.notices.push(notice)
    for (const listener of this.#listeners) listener()
  }
  async pulse(pulse: Pulse): Promise<void> {
    this.pulses.push(pulse)
    for (const listener of this.#listeners) listener()
  }
  /** The newest report of a pod. */
  last(name: string): PodReport | undefined {
    return this.reports.findLast((one) => one.name === name)?.report
  }
  /** Resolves when the condition holds; it is asked again after everything that is reported. */
  until<Result>(condition: () => Result | undefined | false): Promise<Result> {
    return new Promise((resolve) => {
      const look = (): void => {
        const result = condition()
        if (result === undefined || result === false) return
        this.#listeners.delete(look)
        resolve(result)
      }
      this.#listeners.add(look)
      look()
    })
  }
}
