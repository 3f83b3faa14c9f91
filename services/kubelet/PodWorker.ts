/** One pod's loop: observe, decide, start what was decided, report. Never two rounds at once. */
import type { Container, PodStatus } from '#events/schema/generated/core.v1.ts'
import type { Binding, PodReport } from '#events/node/messages.ts'
import type { Timer } from '#services/platform/Clock.ts'
import { decide, type Action } from './decide.ts'
import { StartFault, wordsOf, type Tell } from './Images.ts'
import { perform, type Tools } from './perform.ts'
import type { Busy, Fault } from './PodView.ts'
import { Probes } from './probes/Probes.ts'
import { latest } from './PodView.ts'
import type { Observed } from '#services/platform/Runtime.ts'
import { containersOf } from './status.ts'

export interface PodWorkerOptions {
  readonly tools: Tools
  readonly binding: Binding
  readonly wanted: boolean
  /** Unwanted because it is lost, not because it is gone. */
  readonly lost: boolean
  /** Containers that ran before this agent did. */
  readonly adopted: ReadonlySet<string>
  readonly ip: string | undefined
  readonly report: (report: PodReport) => Promise<void>
  readonly tell: (binding: Binding, container: string) => Tell
  readonly onFinished: () => void
  readonly onError: (error: unknown) => void
}

const RETRY_MS = 1_000
const UNKNOWN_RETRY_MS = 5_000

export class PodWorker {
  readonly #options: PodWorkerOptions
  readonly #probes: Probes
  readonly #faults = new Map<string, Fault>()
  readonly #busy = new Map<string, Busy & { readonly operation: number }>()
  readonly #messages = new Map<string, string>()
  readonly #firstSeen: number
  binding: Binding
  #wanted: boolean
  #lost: boolean
  #ip: string | undefined
  #observed: readonly Observed[] = []
  #status: PodStatus | undefined
  #reported = ''
  #reporting = false
  #tornDown = false
  #running = false
  #again = false
  #stopped = false
  #operations = 0
  #wake: Timer | undefined
  /** The files of volumes may be out of date: a binding came since they were written. */
  #stale = false

  constructor(options: PodWorkerOptions) {
    this.#options = options
    this.binding = options.binding
    this.#wanted = options.wanted
    this.#lost = options.lost
    this.#ip = options.ip
    this.#firstSeen = options.tools.clock.now()
    this.#probes = new Probes(
      options.tools.prober,
      options.tools.clock,
      () => this.mark(),
      (container, message) => options.tell(this.binding, container)('Warning', 'Unhealthy', message)
    )
  }
  get observed(): readonly Observed[] {
    return this.#observed
  }
  get status(): PodStatus | undefined {
    return this.#status
  }
  /** null: nobody wants the pod any more; `lost`: because nobody knows it any more. */
  update(binding: Binding | null, lost = false): void {
    if (binding === null) {
      this.#wanted = false
      this.#lost = lost
    } else {
      this.binding = binding
      this.#wanted = true
      this.#stale = true
    }
    // What stood in the way may be what changed.
    this.#faults.clear()
    this.mark()
  }
  /** Look at the pod again. */
  mark(): void {
    if (this.#stopped) return
    this.#again = true
    if (!this.#running) void this.#run()
  }
  /** Leaves everything as it is. */
  stop(): void {
    this.#stopped = true
    this.#wake?.cancel()
    this.#probes.close()
  }
  async #run(): Promise<void> {
    this.#running = true
    try {
      while (this.#again && !this.#stopped) {
        this.#again = false
        await this.#round()
      }
    } catch (error) {
      // The runtime does not answer: what runs goes on, and is looked at again soon.
      this.#options.onError(error)
      this.#wakeIn(RETRY_MS)
    } finally {
      this.#running = false
      if (this.#again && !this.#stopped) void this.#run()
    }
  }
  async #round(): Promise<void> {
    const { tools, adopted } = this.#options
    const { metadata } = this.binding.pod
    // Operations that end while the list is read may not be in it: they count as under way for this round.
    const busy = new Map<string, Busy>(this.#busy)
    this.#observed = await tools.runtime.list(metadata?.uid as string)
    for (const [name, one] of this.#busy) busy.set(name, one)
    await this.#readMessages()
    if (this.#stale && this.#observed.some(({ state }) => state === 'running')) await this.#refreshFiles()
    const containers = new Map(containersOf(this.binding.pod).map((container) => [container.name, container]))
    const running = this.#observed.flatMap((observed) => {
      const container = containers.get(observed.identity.container)
      return observed.state === 'running' && container !== undefined ? [{ observed, container: container as Container }] : []
    })
    const ip = this.binding.pod.spec?.hostNetwork === true ? tools.hostIP : this.#ip
    const leaving = !this.#wanted || metadata?.deletionTimestamp !== undefined
    this.#probes.sync(ip === undefined || leaving ? [] : running, ip ?? '', ({ id }) => adopted.has(id))
    const decision = decide({
      pod: this.binding.pod,
      wanted: this.#wanted,
      lost: this.#lost,
      observed: this.#observed,
      probes: this.#probes.states(),
      faults: this.#faults,
      busy,
      messages: this.#messages,
      ip: this.#ip,
      hostIP: tools.hostIP,
      tornDown: this.#tornDown,
      firstSeen: this.#firstSeen,
      previous: this.#status,
      now: tools.clock.now()
    })
    this.#tellBackOff(decision.status)
    this.#status = decision.status
    for (const action of decision.actions) this.#perform(action)
    if (decision.wakeAt !== undefined) this.#wakeIn(decision.wakeAt - tools.clock.now())
    if (!this.#wanted) {
      if (decision.finished) this.#finish()
      return
    }
    // Of one that goes and was gone before this agent came, there is nothing to tell but its end: that it never ran was not so.
    const unseen = leaving && !decision.finished && this.#observed.length === 0 && this.#reported === ''
    if (!unseen && (leaving || this.#probes.settled)) void this.#report(decision.finished)
  }
  #wakeIn(ms: number): void {
    this.#wake?.cancel()
    this.#wake = this.#options.tools.clock.after(Math.max(ms, 1), () => this.mark())
  }
  #finish(): void {
    this.stop()
    this.#options.onFinished()
  }
  async #readMessages(): Promise<void> {
    const { files, runtime } = this.#options.tools
    const containers = new Map(containersOf(this.binding.pod).map((container) => [container.name, container]))
    const present = new Set(this.#observed.map(({ id }) => id))
    for (const id of this.#messages.keys()) if (!present.has(id)) this.#messages.delete(id)
    for (const { id, state, identity, exitCode } of this.#observed) {
      if (state !== 'exited' || identity.container === '' || this.#messages.has(id)) continue
      let message = await files.terminationMessage(identity.podUid, identity.container, identity.attempt)
      if (message === '' && exitCode !== 0 && containers.get(identity.container)?.terminationMessagePolicy === 'FallbackToLogsOnError') {
        const parts: Uint8Array[] = []
        try {
          for await (const part of runtime.logs(id, { tailLines: 80 }, new AbortController().signal)) parts.push(part)
        } catch {
          // No log, no message.
        }
        message = Buffer.concat(parts).subarray(-2048).toString()
      }
      this.#messages.set(id, message)
    }
  }
  async #refreshFiles(): Promise<void> {
    const { tools, tell } = this.#options
    this.#stale = false
    const facts = {
      podIP: this.#ip ?? tools.hostIP,
      hostIP: tools.hostIP,
      nodeName: tools.node,
      cores: tools.machine.cores,
      memory: tools.machine.memory
    }
    await tools.files
      .prepare(this.binding, facts)
      .catch((error: unknown) => tell(this.binding, '')('Warning', 'FailedMount', wordsOf(error)))
  }
  #tellBackOff(status: PodStatus): void {
    const { metadata } = this.binding.pod
    const before = new Map(
      [...(this.#status?.initContainerStatuses ?? []), ...(this.#status?.containerStatuses ?? [])].map(({ name, state }) => [
        name,
        state?.waiting?.reason
      ])
    )
    for (const { name, state } of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])])
      if (state?.waiting?.reason === 'CrashLoopBackOff' && before.get(name) !== 'CrashLoopBackOff')
        this.#options.tell(this.binding, name)(
          'Warning',
          'BackOff',
          `Back-off restarting failed container ${name} in pod ${metadata?.name}_${metadata?.namespace}(${metadata?.uid})`
        )
  }
  #perform(action: Action): void {
    const { tools, tell } = this.#options
    const name =
      action.type === 'start-container'
        ? action.name
        : action.type === 'stop-container'
          ? action.container.identity.container
          : action.type === 'remove'
            ? undefined
            : ''
    const operation = ++this.#operations
    const what: Busy =
      action.type === 'stop-container'
        ? { what: 'stop', deadline: tools.clock.now() + action.graceSeconds * 1000 }
        : { what: action.type === 'teardown' ? 'teardown' : 'start' }
    if (name !== undefined) this.#busy.set(name, { ...what, operation })
    const { binding } = this
    const podStart = this.#observed.reduce(
      (first, { identity }) => (identity.podStart > 0 ? Math.min(first, identity.podStart) : first),
      this.#firstSeen
    )
    const target = {
      binding,
      podStart,
      ip: this.#ip,
      tell: (container: string) => tell(binding, container),
      onIp: (ip: string | undefined) => void (this.#ip = ip)
    }
    perform(tools, target, action)
      .then(
        () => {
          if (name !== undefined) this.#faults.delete(name)
          if (action.type === 'teardown') this.#tornDown = true
        },
        (error: unknown) => {
          const fault =
            error instanceof StartFault ? error : new StartFault('RunContainerError', wordsOf(error), tools.clock.now() + UNKNOWN_RETRY_MS)
          if (!(error instanceof StartFault)) this.#options.onError(error)
          if (name !== undefined) this.#faults.set(name, { reason: fault.reason, message: fault.message, retryAt: fault.retryAt })
        }
      )
      .finally(() => {
        if (name !== undefined && this.#busy.get(name)?.operation === operation) this.#busy.delete(name)
        this.mark()
      })
  }
  /** One report under way at a time; the newest state is what is sent next. */
  async #report(finished: boolean): Promise<void> {
    if (this.#reporting || this.#status === undefined) return
    const report: PodReport = {
      uid: this.binding.pod.metadata?.uid as string,
      status: this.#status,
      ...(finished ? { terminated: true as const } : {}),
      cause: this.binding.cause
    }
    const text = JSON.stringify([report.status, finished])
    if (text === this.#reported) return
    this.#reporting = true
    try {
      await this.#options.report(report)
      this.#reported = text
      this.#reporting = false
      this.mark()
    } catch (error) {
      this.#reporting = false
      this.#options.onError(error)
      this.#options.tools.clock.after(RETRY_MS, () => this.mark())
    }
  }
  /** The newest and the one before of a container. */
  containers(name: string): { readonly now: Observed; readonly before: Observed | undefined } | undefined {
    return latest(this.#observed).get(name)
  }
}
