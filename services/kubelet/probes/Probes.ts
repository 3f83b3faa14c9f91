/** The probes of one pod's running containers: asks in their rhythm, counts, and says when a result turns. */
import type { Container, Probe } from '#events/schema/generated/core.v1.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { ProbeState } from '#services/kubelet/PodView.ts'
import type { Observed } from '#services/platform/Runtime.ts'
import type { Prober, ProbeAction, ProbeTarget } from './Prober.ts'

type Kind = 'startup' | 'readiness' | 'liveness'

interface Watched {
  readonly target: ProbeTarget
  /** It ran before this agent did: it is asked at once, and its readiness is unknown rather than false. */
  readonly adopted: boolean
  readonly timers: Map<Kind, Timer>
  /** Successes (positive) or failures (negative) in a row. */
  readonly runs: Map<Kind, number>
  started: boolean
  ready: boolean
  settled: boolean
  failed: 'liveness' | 'startup' | undefined
}

const TITLES: Readonly<Record<Kind, string>> = { startup: 'Startup', readiness: 'Readiness', liveness: 'Liveness' }

export class Probes {
  readonly #prober: Prober
  readonly #clock: Clock
  readonly #onChange: () => void
  readonly #onUnhealthy: (container: string, message: string) => void
  readonly #watched = new Map<string, Watched>()

  constructor(prober: Prober, clock: Clock, onChange: () => void, onUnhealthy: (container: string, message: string) => void) {
    this.#prober = prober
    this.#clock = clock
    this.#onChange = onChange
    this.#onUnhealthy = onUnhealthy
  }
  /** Watches exactly these. */
  sync(
    running: readonly { readonly observed: Observed; readonly container: Container }[],
    ip: string,
    adopted: (observed: Observed) => boolean
  ): void {
    const present = new Set(running.map(({ observed }) => observed.id))
    for (const [id, watched] of this.#watched) if (!present.has(id)) this.#forget(id, watched)
    for (const { observed, container } of running) {
      if (this.#watched.has(observed.id)) continue
      const isAdopted = adopted(observed)
      const watched: Watched = {
        target: { containerId: observed.id, container, ip },
        adopted: isAdopted,
        timers: new Map(),
        runs: new Map(),
        started: container.startupProbe === undefined,
        ready: container.readinessProbe === undefined,
        settled: !isAdopted || container.readinessProbe === undefined,
        failed: undefined
      }
      this.#watched.set(observed.id, watched)
      for (const kind of ['startup', 'readiness', 'liveness'] as const) {
        const probe = probeOf(container, kind)
        if (probe !== undefined) this.#later(observed.id, watched, kind, probe, isAdopted ? 0 : (probe.initialDelaySeconds ?? 0) * 1000)
      }
    }
  }
  states(): ReadonlyMap<string, ProbeState> {
    return new Map(
      [...this.#watched].map(([id, { started, ready, failed }]) => [
        id,
        { started, ready: started && ready, ...(failed === undefined ? {} : { failed }) }
      ])
    )
  }
  /** False while an adopted container's readiness is not known: what was reported before then still stands. */
  get settled(): boolean {
    return [...this.#watched.values()].every(({ settled }) => settled)
  }
  close(): void {
    for (const [id, watched] of this.#watched) this.#forget(id, watched)
  }
  #forget(id: string, watched: Watched): void {
    for (const timer of watched.timers.values()) timer.cancel()
    this.#watched.delete(id)
  }
  #later(id: string, watched: Watched, kind: Kind, probe: Probe, ms: number): void {
    watched.timers.set(
      kind,
      this.#clock.after(ms, () => void this.#ask(id, watched, kind, probe))
    )
  }
  async #ask(id: string, watched: Watched, kind: Kind, probe: Probe): Promise<void> {
    const period = (probe.periodSeconds ?? 10) * 1000
    // Until the startup probe has succeeded the others wait.
    if (kind !== 'startup' && !watched.started) return this.#later(id, watched, kind, probe, Math.min(period, 1_000))
    const { ok, message } = await this.#prober.probe(probe as ProbeAction, watched.target, (probe.timeoutSeconds ?? 1) * 1000)
    if (this.#watched.get(id) !== watched) return
    const before = watched.runs.get(kind) ?? 0
    const run = ok ? Math.max(before, 0) + 1 : Math.min(before, 0) - 1
    watched.runs.set(kind, run)
    if (!ok) this.#onUnhealthy(watched.target.container.name, `${TITLES[kind]} probe failed: ${message}`)
    const was = `${watched.started} ${watched.ready} ${watched.failed} ${watched.settled}`
    if (run >= (probe.successThreshold ?? 1)) {
      if (kind === 'startup') watched.started = true
      else if (kind === 'readiness') watched.ready = true
    } else if (-run >= (probe.failureThreshold ?? 3)) {
      if (kind === 'readiness') watched.ready = false
      else watched.failed = kind
    }
    // Success once, or failure to the threshold: from then on it is known.
    if (kind === 'readiness' && (watched.ready || -run >= (probe.failureThreshold ?? 3))) watched.settled = true
    const done = (kind === 'startup' && watched.started) || watched.failed !== undefined
    if (!done) this.#later(id, watched, kind, probe, period)
    if (was !== `${watched.started} ${watched.ready} ${watched.failed} ${watched.settled}`) this.#onChange()
  }
}

const probeOf = (container: Container, kind: Kind): Probe | undefined =>
  kind === 'startup' ? container.startupProbe : kind === 'readiness' ? container.readinessProbe : container.livenessProbe
