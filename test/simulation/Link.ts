/**
 * An agent's link as `kubelet/NatsLink.ts` is shaped, over memory twins: bindings followed from BINDINGS, reports stored in
 * REPORTS and acknowledged, pulses heard by whoever serves, and questions that somebody answers or nobody does.
 */
import { NoAnswer } from '#events/Intent.ts'
import type { FateAnswer, NoticeReport, PodReport, Pulse, Stray } from '#events/node/messages.ts'
import { noticeReportSubject, podReportSubject } from '#events/node/messages.ts'
import type { Subscription } from '#events/Log.ts'
import { encodeToken } from '#events/Subject.ts'
import { updateOf } from '#services/platform/bindings.ts'
import { sleep, type Clock } from '#services/platform/Clock.ts'
import type { MemoryWorkQueue } from '#services/platform/MemoryWorkQueue.ts'
import type { NodeLink } from '#services/platform/NodeLink.ts'
import { BINDING_SEAL, type Process } from './Process.ts'
import type { Served } from './Served.ts'

const FATES_MS = 20_000
const ACK_MS = 5_000
/** The stream takes a message of one name once, within this window. */
const WINDOW_MS = 10_000

/** What the agent said may have been stored, or not. */
export class Unacknowledged extends Error {
  override readonly name = 'Unacknowledged'
}

export interface LinkOptions {
  readonly node: string
  readonly process: Process
  /** The world's: messages on their way know no machine's. */
  readonly clock: Clock
  readonly reports: MemoryWorkQueue
  /** Names of messages that were stored lately, and when; one for the stream. */
  readonly stored: Map<string, number>
  /** An API server that serves, any of them. */
  readonly server: () => Served | undefined
  /** Whether a message from one to the other gets lost. */
  readonly lost: (from: string, to: string) => boolean
  readonly away: () => boolean
}

export class Link implements NodeLink {
  readonly #options: LinkOptions

  constructor(options: LinkOptions) {
    this.#options = options
  }
  #way(): Promise<void> {
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
  #store(subject: string, text: string, id?: string): Promise<void> {
    const { reports, stored, clock, process, away, lost } = this.#options
    const send = async (): Promise<void> => {
      await this.#way()
      const dies = process.isCut() || away() || lost(process.name, 'reports')
      if (!dies) {
        const before = id === undefined ? undefined : stored.get(id)
        if (before === undefined || clock.now() - before > WINDOW_MS) reports.append(subject, text)
        if (id !== undefined) stored.set(id, before ?? clock.now())
      }
      if (!dies && !lost('reports', process.name)) return
      await sleep(clock, ACK_MS)
      throw new Unacknowledged('no acknowledgement')
    }
    return process.entered(send())
  }
  pulse(pulse: Pulse): Promise<void> {
    const { process, server, lost } = this.#options
    const send = async (): Promise<void> => {
      await this.#way()
      const one = server()
      // Nobody waits for an answer: where it is not heard, the next one is.
      if (one !== undefined && !lost(process.name, one.process.name)) one.process.enter(() => one.pulses.take(pulse))
    }
    return process.entered(send())
  }
  fates(pods: readonly Stray[]): Promise<FateAnswer> {
    const { server, node, clock, lost, process } = this.#options
    const ask = async (): Promise<FateAnswer> => {
      await this.#way()
      const one = server()
      let over = false
      const late = sleep(clock, FATES_MS).then(() => {
        over = true
        throw new NoAnswer('no answer from the API server')
      })
      if (one === undefined || lost(process.name, one.process.name)) return late
      const answer = new Promise<FateAnswer>((resolve, reject) => {
        one.process.enter(() => {
          one.fates(node, pods).then((found) => one.process.enter(() => lost(one.process.name, process.name) || resolve(found)), reject)
        })
      })
      const found = await Promise.race([answer, late])
      if (!over) late.catch(() => {})
      await this.#way()
      return found
    }
    return process.entered(ask())
  }
}
