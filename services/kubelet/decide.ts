/**
 * What to do about one pod: (what is wanted × what runs × probes × faults, now) → actions and a status.
 *
 * Level-triggered: it is asked again after everything that happens, and names only what is not being done already.
 */
import type { Container, PodStatus } from '#events/schema/generated/core.v1.ts'
import type { Observed } from '#services/platform/Runtime.ts'
import { isChanged, isPastDeadline, isSidecar, latest, restartOf, runsAgain, type PodView } from './PodView.ts'
import { incompleteInit, isTerminal, isTerminating, statusOf } from './status.ts'

export type Action =
  /** Volumes, pause container, network. */
  | { readonly type: 'start-sandbox'; readonly sandbox: number }
  | { readonly type: 'setup-network'; readonly sandbox: Observed }
  | {
      readonly type: 'start-container'
      readonly name: string
      readonly sandbox: Observed
      readonly attempt: number
      readonly backOff: number
    }
  | {
      readonly type: 'stop-container'
      readonly container: Observed
      readonly graceSeconds: number
      readonly message: string
      readonly reason: 'probe' | 'other'
    }
  /** The sandbox of a pod that has ended; its containers stay, for their logs. */
  | { readonly type: 'stop-sandbox'; readonly sandbox: Observed }
  | { readonly type: 'remove'; readonly containers: readonly Observed[] }
  /** Everything of the pod: network, containers, volumes. */
  | { readonly type: 'teardown'; readonly containers: readonly Observed[] }

export interface PodDecision {
  readonly actions: readonly Action[]
  readonly status: PodStatus
  /** The pod had to go and is gone. */
  readonly finished: boolean
  /** Milliseconds: look again then. */
  readonly wakeAt: number | undefined
}

const DEFAULT_GRACE_S = 30
/** For a pod whose binding vanished (deleted by force): long enough for a clean exit, no more. */
const VANISHED_GRACE_S = 2

const graceOf = ({ pod, wanted, lost, now }: PodView): number => {
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata ?? {}
  if (deletionTimestamp === undefined)
    return wanted || lost ? (pod.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S) : VANISHED_GRACE_S
  const full = deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S
  // An agent that comes late to a deletion gives only what is left of it.
  const left = Math.ceil((Date.parse(deletionTimestamp as string) - now) / 1000) + 1
  return Math.max(1, Math.min(full, left))
}

class Decision {
  readonly view: PodView
  readonly actions: Action[] = []
  wakeAt: number | undefined
  constructor(view: PodView) {
    this.view = view
  }
  wake(at: number): void {
    this.wakeAt = this.wakeAt === undefined ? at : Math.min(this.wakeAt, at)
  }
  /** False while a fault's time is not over; the pod is looked at again then. */
  mayTry(name: string): boolean {
    const fault = this.view.faults.get(name)
    if (fault === undefined || fault.retryAt <= this.view.now) return true
    this.wake(fault.retryAt)
    return false
  }
  stop(container: Observed, graceSeconds: number, message: string, reason: 'probe' | 'other' = 'other'): void {
    const busy = this.view.busy.get(container.identity.container)
    if (busy?.what === 'start' || busy?.what === 'teardown') return
    // A stop under way is only repeated to make it shorter.
    if (busy?.what === 'stop' && busy.deadline <= this.view.now + graceSeconds * 1000 + 1_000) return
    this.actions.push({ type: 'stop-container', container, graceSeconds, message, reason })
  }
}

const running = (observed: readonly Observed[]): readonly Observed[] =>
  observed.filter(({ state, identity }) => state === 'running' && identity.container !== '')

/** Stops the pod's containers, sidecars last, in the reverse of their order. True when none runs. */
const stopAll = (decision: Decision, graceSeconds: number): boolean => {
  const { view } = decision
  const alive = running(view.observed)
  const sidecars = (view.pod.spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name)
  const others = alive.filter(({ identity }) => !sidecars.includes(identity.container))
  const last = [...alive]
    .filter(({ identity }) => sidecars.includes(identity.container))
    .sort((a, b) => sidecars.indexOf(b.identity.container) - sidecars.indexOf(a.identity.container))
  for (const container of others.length > 0 ? others : last.slice(0, 1))
    decision.stop(container, graceSeconds, `Stopping container ${container.identity.container}`)
  return alive.length === 0 && ![...view.busy.keys()].some((name) => name !== '')
}

const startContainer = (decision: Decision, container: Container, sandbox: Observed, now: Observed | undefined): void => {
  const { view } = decision
  const { name } = container
  if (view.busy.has(name)) return
  if (now === undefined || now.state === 'created') {
    if (decision.mayTry(name))
      decision.actions.push({
        type: 'start-container',
        name,
        sandbox,
        attempt: now?.identity.attempt ?? 0,
        backOff: now?.identity.backOff ?? 0
      })
    return
  }
  const changed = isChanged(view.pod, container, now)
  const restart = changed || now.identity.sandbox !== sandbox.identity.sandbox ? { at: 0, level: 0 } : restartOf(now)
  if (restart.at > view.now) return decision.wake(restart.at)
  if (decision.mayTry(name))
    decision.actions.push({ type: 'start-container', name, sandbox, attempt: now.identity.attempt + 1, backOff: restart.level })
}

/** A running container that must not stay. True when it may. */
const keep = (decision: Decision, container: Container, now: Observed, sandbox: Observed): boolean => {
  const { view } = decision
  const grace = view.pod.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S
  const failed = view.probes.get(now.id)?.failed
  if (now.identity.sandbox !== sandbox.identity.sandbox) decision.stop(now, grace, `Stopping container ${container.name}`)
  else if (isChanged(view.pod, container, now))
    decision.stop(now, grace, `Container ${container.name} definition changed, will be restarted`)
  else if (failed !== undefined) {
    const probe = failed === 'liveness' ? container.livenessProbe : container.startupProbe
    decision.stop(
      now,
      probe?.terminationGracePeriodSeconds ?? grace,
      `Container ${container.name} failed ${failed} probe, will be restarted`,
      'probe'
    )
  } else return true
  return false
}

/** Init containers in order, sidecars kept up. True when the app containers may run. */
const initialize = (decision: Decision, sandbox: Observed): boolean => {
  const { view } = decision
  const byName = latest(view.observed)
  const incomplete = new Set(incompleteInit(view, byName))
  const done = incomplete.size === 0
  for (const container of view.pod.spec?.initContainers ?? []) {
    const found = byName.get(container.name)?.now
    const now = found?.identity.sandbox === sandbox.identity.sandbox ? found : undefined
    if (isSidecar(container)) {
      if (found?.state === 'running') keep(decision, container, found, sandbox)
      else startContainer(decision, container, sandbox, found)
    } else if (!done && incomplete.has(container.name)) {
      if (now === undefined || now.state === 'created') startContainer(decision, container, sandbox, found)
      else if (now.state === 'exited' && view.pod.spec?.restartPolicy !== 'Never') startContainer(decision, container, sandbox, now)
    }
    if (!done && incomplete.has(container.name)) return false
  }
  return true
}

const runPod = (decision: Decision): void => {
  const { view } = decision
  const { pod, observed, busy } = view
  const found = latest(observed)
  const sandbox = found.get('')?.now
  if (sandbox === undefined || sandbox.state !== 'running') {
    for (const container of running(observed)) decision.stop(container, 0, `Stopping container ${container.identity.container}`)
    if (running(observed).length > 0 || busy.size > 0) return
    if (decision.mayTry(''))
      decision.actions.push({
        type: 'start-sandbox',
        sandbox: sandbox === undefined ? 0 : sandbox.state === 'created' ? sandbox.identity.sandbox : sandbox.identity.sandbox + 1
      })
    return
  }
  if (busy.has('')) return
  if (view.ip === undefined && pod.spec?.hostNetwork !== true) {
    if (decision.mayTry('')) decision.actions.push({ type: 'setup-network', sandbox })
    return
  }
  // The container before the present one is kept for `logs --previous`; dead sandboxes are of no use.
  const stale = [...found]
    .flatMap(([name, { before, old }]) => (name === '' ? [...(before === undefined ? [] : [before]), ...old] : old))
    .filter(({ state }) => state !== 'running')
  if (stale.length > 0) decision.actions.push({ type: 'remove', containers: stale })
  if (!initialize(decision, sandbox)) return
  for (const container of pod.spec?.containers ?? []) {
    const now = found.get(container.name)?.now
    if (now?.state === 'running') keep(decision, container, now, sandbox)
    else if (now === undefined || now.state === 'created' || runsAgain(pod, container, now))
      startContainer(decision, container, sandbox, now)
  }
}

export const decide = (view: PodView): PodDecision => {
  const decision = new Decision(view)
  const status = statusOf(view)
  if (isTerminating(view)) {
    if (!view.tornDown && stopAll(decision, graceOf(view)) && !view.busy.has('') && decision.mayTry(''))
      decision.actions.push({ type: 'teardown', containers: view.observed })
    return { actions: decision.actions, status, finished: view.tornDown, wakeAt: decision.wakeAt }
  }
  const seconds = view.pod.spec?.activeDeadlineSeconds
  if (seconds !== undefined && !isPastDeadline(view)) decision.wake(Date.parse(status.startTime as string) + seconds * 1000 + 1000)
  if (isTerminal(status) || isPastDeadline(view)) {
    const sandbox = latest(view.observed).get('')?.now
    if (
      stopAll(decision, view.pod.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S) &&
      sandbox?.state === 'running' &&
      !view.busy.has('')
    )
      decision.actions.push({ type: 'stop-sandbox', sandbox })
  } else runPod(decision)
  return { actions: decision.actions, status, finished: false, wakeAt: decision.wakeAt }
}
