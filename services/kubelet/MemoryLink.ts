/** The agent's link in memory: for tests and the simulation. */
import type { Binding, NoticeReport, PodReport, Pulse } from '#events/node/messages.ts'
import type { Subscription } from '#events/Log.ts'
import type { BindingUpdate, NodeLink } from '../platform/NodeLink.ts'

export class MemoryLink implements NodeLink {
  readonly #bindings = new Map<string, BindingUpdate>()
  readonly #followers = new Set<(update: BindingUpdate) => void>()
  readonly #listeners = new Set<() => void>()
  readonly reports: { readonly namespace: string; readonly name: string; readonly report: PodReport }[] = []
  readonly notices: NoticeReport[] = []
  readonly pulses: Pulse[] = []

  bind(binding: Binding): void {
    const { namespace = '', name = '' } = binding.pod.metadata ?? {}
    this.#put({ namespace, name, binding })
  }
  unbind(namespace: string, name: string): void {
    this.#put({ namespace, name, binding: null })
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
