/**
 * Takes what agents report (pod statuses, notices) to the decider, as intents of that node's user. A report is done with
 * when it is decided or refused for good, and not before, however long the log is away.
 *
 * Reports of pods are level-triggered: a delivery only says which pod to look at. What is decided is the newest report
 * there is of it, and the write is tied to the pod as it was seen before asking which one that is: had somebody decided a
 * newer report since, the pod would be another, and the write would be refused. So several API servers may share the
 * work, an old report may come again after a crash, and no pod's status ever goes back. (One API server at a time for
 * each node would do as well, until the moment it changes.)
 */
import { PODS } from '#events/collections.ts'
import { decodeToken } from '#events/Subject.ts'
import type { LogEntry, Subscription } from '#events/Log.ts'
import { Refusal } from '#events/Refusal.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { Views } from '#services/platform/Views.ts'
import { ACK_WAIT_MS, type Delivery, type WorkQueue } from '#services/platform/WorkQueue.ts'
import type { Decider } from '#services/apiserver/Decider.ts'
import { BadReport, noticeReportOf, podReportOf } from './check.ts'
import { intentOfNotice, intentOfPodReport } from './decide.ts'
import { Loads } from './Loads.ts'
import { backOff, isOurs, Later, submit, type Verdict } from './submit.ts'

/** Reports decided at once, whose bodies are in memory; the rest wait as headers, as many as the queue hands out. */
const PARALLEL = 64
/** Bytes of a report; no status is so long. */
const LARGEST = 1024 * 1024
/** Tries at once when others write the same object, before it rests. */
const RACES = 8
/** Tries of what fails by a mistake of ours: it would fail for ever, and must not be in the way for ever. */
const MISTAKES = 5
const REMEMBERED = 10_000
const WORKING_MS = ACK_WAIT_MS / 3
/** That reports wait is told once in so long. */
const TOLD_MS = 10_000
/** What was handed out before its entries were taken away is done with by then. */
const TRIM_MS = 2_000

export interface ReportIngestOptions {
  readonly views: Views
  readonly decider: Decider
  readonly reports: WorkQueue
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}

interface Held {
  delivery: Delivery
  /** It was put to the decider, and may have been decided though nobody heard. */
  tried: boolean
}

/** The reports of one pod, or the notices of one. */
interface Line {
  readonly subject: string
  /** By sequence: delivered and not done with. */
  readonly held: Map<number, Held>
  busy: boolean
  /** Waits for its turn, or for its time. */
  waiting: boolean
  rest: Timer | undefined
  failures: number
}

export class ReportIngest {
  readonly #options: ReportIngestOptions
  readonly #lines = new Map<string, Line>()
  /** By subject: up to where reports are decided that are not delivered yet. */
  readonly #decided = new Map<string, number>()
  /** Whose turn is next. */
  #ready: Line[] = []
  #busy = 0
  #subscription: Subscription | undefined
  #working: Timer | undefined
  readonly #loads = new Loads()
  /** Nodes whose oldest reports are being taken away, or were a moment ago. */
  readonly #trimmed = new Set<string>()
  #told = Number.NEGATIVE_INFINITY
  #stopped = false
  #idle: (() => void)[] = []

  constructor(options: ReportIngestOptions) {
    this.#options = options
  }
  start(): void {
    const { reports, onError } = this.#options
    this.#subscription = reports.consume((delivery) => this.#take(delivery), onError)
  }
  /** What is being decided is finished; the rest is given back, for others or for later. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#subscription?.close()
    this.#working?.cancel()
    for (const { held, busy, rest } of this.#lines.values()) {
      rest?.cancel()
      if (!busy) for (const { delivery } of held.values()) delivery.giveBack()
    }
    this.#ready = []
    if (this.#busy > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }
  #take(delivery: Delivery): void {
    if (this.#stopped) return delivery.giveBack()
    const { subject, sequence } = delivery
    if (sequence <= (this.#decided.get(subject) ?? 0)) {
      if (sequence === this.#decided.get(subject)) this.#decided.delete(subject)
      return delivery.done()
    }
    let line = this.#lines.get(subject)
    if (line === undefined)
      this.#lines.set(subject, (line = { subject, held: new Map(), busy: false, waiting: false, rest: undefined, failures: 0 }))
    if (!line.held.has(sequence)) this.#loads.add(nodeOf(subject), delivery.size)
    line.held.set(sequence, { delivery, tried: delivery.again || line.held.get(sequence)?.tried === true })
    this.#keepWorking()
    this.#bound(nodeOf(subject), delivery.behind)
    if (!line.waiting) this.#queue(line)
  }
  /** One node's flood takes away what is its own, before it takes what is another's. */
  #bound(node: string, behind: number): void {
    const { reports, clock, onError } = this.#options
    const keep = this.#trimmed.has(node) ? undefined : this.#loads.excess(node, behind)
    if (keep === undefined) return
    this.#trimmed.add(node)
    const name = decodeToken(node)
    onError(new Error(`node ${name} reports more than can be decided: of what waits only the newest ${keep} entries are kept`))
    reports
      .trim(`report.${node}.>`, keep)
      .catch(onError)
      .finally(() => clock.after(TRIM_MS, () => this.#trimmed.delete(node)))
  }
  #queue(line: Line): void {
    if (line.busy) return
    line.waiting = true
    this.#ready.push(line)
    this.#pump()
  }
  #pump(): void {
    while (this.#busy < PARALLEL && this.#ready.length > 0) {
      const line = this.#ready.shift() as Line
      line.waiting = false
      line.busy = true
      this.#busy += 1
      void this.#decide(line).then((wait) => {
        line.busy = false
        this.#busy -= 1
        this.#after(line, wait)
        this.#pump()
        if (this.#busy > 0 || !this.#stopped) return
        for (const resolve of this.#idle.splice(0)) resolve()
      })
    }
  }
  #after(line: Line, wait: number): void {
    if (this.#stopped) {
      for (const { delivery } of line.held.values()) delivery.giveBack()
      return
    }
    if (line.held.size === 0) this.#lines.delete(line.subject)
    else if (wait === 0) this.#queue(line)
    else {
      line.waiting = true
      line.rest = this.#options.clock.after(wait, () => {
        line.rest = undefined
        this.#queue(line)
      })
    }
  }
  /** Milliseconds until the line is to be looked at again; never rejects. */
  async #decide(line: Line): Promise<number> {
    const { clock, onError } = this.#options
    const { subject, held } = line
    const [, node = '', what, namespace = '', name = ''] = subject.split('.').map(decodeToken)
    // Notices are decided one by one; of a pod's reports the newest stands for all before it.
    const [first, last] = [Math.min(...held.keys()), Math.max(...held.keys())]
    const end = (upTo: number): number => {
      if (what === 'pod') this.#done(line, (sequence) => sequence <= upTo)
      else this.#done(line, (sequence) => sequence === first)
      line.failures = 0
      return 0
    }
    try {
      if (what === 'pod') {
        const upTo = await this.#pod(subject, node, namespace, name, last)
        this.#remember(subject, upTo, last)
        return end(upTo)
      }
      const one = held.get(first) as Held
      const again = one.tried
      one.tried = true
      if (what === 'event' && this.#fits(subject, one.delivery.size)) await this.#notice(node, first, again)
      return end(first)
    } catch (error) {
      line.failures += 1
      if (error instanceof BadReport || (isOurs(error) && line.failures >= MISTAKES)) {
        onError(error)
        return end(last)
      }
      this.#tell(error)
      return backOff(line.failures, clock, error instanceof Later ? error.afterMs : 0)
    }
  }
  #fits(subject: string, size: number): boolean {
    if (size <= LARGEST) return true
    this.#options.onError(new Error(`${subject}: a report of ${size} bytes is not read; none has more than ${LARGEST}`))
    return false
  }
  /** The sequence up to which everything is done with. */
  async #pod(subject: string, node: string, namespace: string, name: string, delivered: number): Promise<number> {
    const { views, reports } = this.#options
    let current = false
    for (let tries = 0; tries < RACES; tries++) {
      // First the pod, then the question which report is the newest: see above.
      const pod = views.get({ ...PODS, namespace, name })
      const newest = await reports.newest(subject)
      // All of them left the stream meanwhile.
      if (newest === undefined) return delivered
      if (!this.#fits(subject, newest.text.length)) return newest.sequence
      const draft = intentOfPodReport(views, node, namespace, name, parsed(newest, podReportOf))
      if (draft === undefined) {
        if (current) return newest.sequence
        // It may only not be here yet: what another API server wrote, the agent may have heard of first.
        await this.#catchUp()
        current = true
        continue
      }
      if (pod === undefined) continue
      const { object } = draft
      const tied =
        object === undefined
          ? draft
          : { ...draft, object: { ...object, metadata: { ...object.metadata, resourceVersion: String(pod.sequence) } } }
      const verdict = await submit(this.#options, node, tied)
      if (verdict.what === 'outrun' && verdict.status.reason === 'Conflict') continue
      // What a node may do is judged by the pod that has the name by then, which may be another one.
      if (verdict.what === 'refused' && views.get({ ...PODS, namespace, name })?.object.metadata.uid !== pod.object.metadata.uid) continue
      this.#refused(node, verdict)
      return newest.sequence
    }
    throw new Later(`pod ${namespace}/${name} is written by others all the time`)
  }
  async #catchUp(): Promise<void> {
    const view = this.#options.views.of(PODS)
    await view.waitFor(await view.log.lastSequence())
  }
  async #notice(node: string, sequence: number, again: boolean): Promise<void> {
    const { views, reports } = this.#options
    const entry = await reports.read(sequence)
    if (entry === undefined) return
    const notice = parsed(entry, noticeReportOf)
    // By the agent's own name for it, should it have reached the stream twice.
    const id = `notice-${notice.id ?? `${Math.floor(entry.time)}-${sequence}`}`
    for (let tries = 0; tries < RACES; tries++) {
      // The decider knows answers by their ids: what is drafted anew is asked under another, which still begins with the first.
      const named = { id: tries === 0 ? id : `${id}.${tries}`, again: again || notice.again === true }
      const verdict = await submit(this.#options, node, intentOfNotice(views, node, notice), named)
      // Made, counted up or expired by others since it was drafted.
      if (verdict.what === 'outrun' && verdict.status.details?.kind === 'events') continue
      return this.#refused(node, verdict)
    }
    throw new Later(`the notice ${id} is written by others all the time`)
  }
  /** An object that is gone needs no report any more; everything else that is refused is told. */
  #refused(node: string, verdict: Verdict): void {
    if (verdict.what === 'refused')
      this.#options.onError(
        new Error(`a report of node ${node} was refused: ${verdict.status.message}`, { cause: Refusal.of(verdict.status) })
      )
  }
  #done({ held }: Line, covered: (sequence: number) => boolean): void {
    for (const [sequence, { delivery }] of held) {
      if (!covered(sequence)) continue
      held.delete(sequence)
      this.#loads.take(nodeOf(delivery.subject), delivery.size)
      delivery.done()
    }
  }
  /** What is not delivered yet and decided already needs no look when it comes. */
  #remember(subject: string, upTo: number, delivered: number): void {
    if (upTo <= delivered) return
    this.#decided.delete(subject)
    this.#decided.set(subject, upTo)
    if (this.#decided.size > REMEMBERED) this.#decided.delete(this.#decided.keys().next().value as string)
  }
  #tell(error: unknown): void {
    const { clock, onError } = this.#options
    if (clock.now() - this.#told < TOLD_MS) return
    this.#told = clock.now()
    const held = [...this.#lines.values()].reduce((sum, line) => sum + line.held.size, 0)
    const why = error instanceof Error ? error.message : String(error)
    onError(new Error(`${held === 1 ? 'a report waits' : `${held} reports wait`} to be decided: ${why}`, { cause: error }))
  }
  /** Nobody else is to be given what waits here. */
  #keepWorking(): void {
    this.#working ??= this.#options.clock.after(WORKING_MS, () => {
      this.#working = undefined
      if (this.#lines.size === 0 || this.#stopped) return
      for (const { held } of this.#lines.values()) for (const { delivery } of held.values()) delivery.working()
      this.#keepWorking()
    })
  }
}

/** As it stands in subjects. */
const nodeOf = (subject: string): string => subject.split('.', 2)[1] ?? ''

const parsed = <Report>({ text, subject, sequence }: LogEntry, check: (body: unknown) => Report): Report => {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    throw new BadReport(`${subject} ${sequence}: the report is not JSON`)
  }
  try {
    return check(body)
  } catch (error) {
    throw error instanceof BadReport ? new BadReport(`${subject} ${sequence}: ${error.message}`) : error
  }
}
