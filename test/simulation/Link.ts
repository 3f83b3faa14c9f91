/**
 * An agent's link as `kubelet/NatsLink.ts` is shaped, over memory twins: bindings followed from BINDINGS, reports stored in
 * REPORTS and acknowledged, pulses heard by whoever serves, and questions that somebody answers or nobody does.
 */
import type { FateAnswer, NoticeReport, PodReport, Pulse, Stray } from '#events/node/messages.ts'
import { noticeReportSubject, podReportSubject } from '#events/node/messages.ts'
import type { Subscription } from '#events/Log.ts'
import { encodeToken } from '#events/Subject.ts'
import { updateOf } from '#services/platform/bindings.ts'
import { sleep } from '#services/platform/Clock.ts'
import type { MemoryWorkQueue } from '#services/platform/MemoryWorkQueue.ts'
import type { NodeLink } from '#services/platform/NodeLink.ts'
import { BINDING_SEAL, type Process } from './Process.ts'
import type { Served } from './Served.ts'
import type { VirtualClock } from './VirtualClock.ts'

const FATES_MS = 20_000
const ACK_MS = 5_000
/** The stream takes a message of one name once, within this window. */
const WINDOW_MS = 10_000

export interface LinkOptions {
  readonly node: string
  readonly process: Process
  readonly clock: VirtualClock
  readonly reports: MemoryWorkQueue
  /** Names of messages that were stored lately, and when; one for the stream. */
  readonly stored: Map<string, number>
  /** An API server that serves, any of them. */
  readonly server: () => Served | undefined
  /** A message is lost. */
  readonly lost: () => boolean
  readonly away: () => boolean
}

export class Link implements NodeLink {
  readonly #options: LinkOptions

  constructor(options: LinkOptions) {
    this.#options = options
  }
  #pause(): Promise<void> {
    const { clock } = this.#options
    return sleep(clock, 1 + clock.random() * 20)
  }
  bindings({ onUpdate, onCaughtUp, onFailed }: Parameters<NodeLink['bindings']>[0]): Subscription {
    const { process, node } = this.#options
    const mine = `bind.${encodeToken(node)}.`
    return process.log('BINDINGS').follow({
      from: 1,
      onEntries: (entries) => {
        for (const entry of entries) if (entry.subject.startsWith(mine)) onUpdate(updateOf(entry, BINDING_SEAL))
      },
      onCaughtUp,
      onFailed
    })
  }
  reportPod(namespace: string, name: string, report: PodReport): Promise<void> {
    return this.#store(podReportSubject(this.#options.node, namespace, name), JSON.stringify(report))
  }
  reportNotice(namespace: string, name: string, notice: NoticeReport): Promise<void> {
    return this.#store(noticeReportSubject(this.#options.node, namespace, name), JSON.stringify(notice), notice.id)
  }
  async #store(subject: string, text: string, id?: string): Promise<void> {
    const { reports, stored, clock, lost } = this.#options
    await this.#pause()
    if (!this.#reaches() || lost()) return this.#unanswered()
    const before = id === undefined ? undefined : stored.get(id)
    if (before === undefined || clock.now() - before > WINDOW_MS) reports.append(subject, text)
    if (id !== undefined) stored.set(id, before ?? clock.now())
    if (lost()) return this.#unanswered()
  }
  async #unanswered(): Promise<never> {
    await sleep(this.#options.clock, ACK_MS)
    throw new Error('no acknowledgement')
  }
  #reaches(): boolean {
    return !this.#options.process.isCut() && !this.#options.away()
  }
  async pulse(pulse: Pulse): Promise<void> {
    const { server, lost } = this.#options
    await this.#pause()
    if (!this.#reaches()) return this.#unanswered()
    if (!lost()) server()?.pulses.take(pulse)
  }
  async fates(pods: readonly Stray[]): Promise<FateAnswer> {
    const { server, node, clock, lost } = this.#options
    await this.#pause()
    const one = this.#reaches() && !lost() ? server() : undefined
    if (one === undefined) {
      await sleep(clock, FATES_MS)
      throw new Error('no answer from the API server')
    }
    const answer = await one.fates(node, pods)
    await this.#pause()
    return answer
  }
}
