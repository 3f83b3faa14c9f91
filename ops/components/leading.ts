/** Leader election as a scoped resource: what is led begins when this process is elected, and ends with its term. */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import * as Effect from 'effect/Effect'
import type { Intents } from '#events/Intent.ts'
import { configPath, durationOf, type LeaderElectionSettings } from '#ops/home.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { LeaderElection, type ElectionTimings, type Reign } from '#services/platform/LeaderElection.ts'
import type { Views } from '#services/platform/Views.ts'
import { usable } from './errors.ts'
import { Place } from './place.ts'
import { briefly, running } from './scoped.ts'

/** Giving the Lease back. */
const RELEASING = '3 seconds'

/** What the settings ask for; undefined: there is nobody to elect. Throws for what makes no sense, naming it. Plain. */
export const electionOf = ({
  leaderElect = true,
  leaseDuration = '15s',
  renewDeadline = '10s',
  retryPeriod = '2s'
}: LeaderElectionSettings = {}): ElectionTimings | undefined => {
  const [leaseDurationMs, renewDeadlineMs, retryPeriodMs] = [
    durationOf(leaseDuration, 'leaderElection.leaseDuration'),
    durationOf(renewDeadline, 'leaderElection.renewDeadline'),
    durationOf(retryPeriod, 'leaderElection.retryPeriod')
  ]
  if (!(leaseDurationMs >= 1_000 && Number.isFinite(leaseDurationMs)))
    throw new Error('settings.leaderElection.leaseDuration: must be at least 1s')
  if (leaseDurationMs <= renewDeadlineMs) throw new Error('settings.leaderElection.leaseDuration: must be greater than renewDeadline')
  // Upstream's jitter factor.
  if (renewDeadlineMs <= retryPeriodMs * 1.2) throw new Error('settings.leaderElection.renewDeadline: must be greater than retryPeriod*1.2')
  if (retryPeriodMs <= 0) throw new Error('settings.leaderElection.retryPeriod: must be greater than zero')
  return leaderElect ? { leaseDurationMs, renewDeadlineMs, retryPeriodMs } : undefined
}

export interface Led {
  /** The Lease's name: `kube-scheduler`. */
  readonly name: string
  /** In notices. */
  readonly component: string
  readonly views: Views
  /** For the Lease, as the component itself. */
  readonly intents: Intents
  /**
   * The home's own process, of which there is one at a time: it goes on under the name it had, without waiting for its own Lease
   * to end. What an earlier one may still do is of an earlier term.
   */
  readonly own: boolean
  readonly lead: (under: (intents: Intents) => Intents) => Reign
}

export const led = ({ name, component, views, intents, own, lead }: Led) =>
  Effect.gen(function* () {
    const { home, config, warn } = yield* Place
    const timings = yield* usable(
      () => electionOf(config.settings?.leaderElection),
      (message) => `${configPath(home)} can't be used: ${message}`
    )
    if (timings === undefined) {
      yield* running(() => lead((same) => same))
      return
    }
    const identity = own ? `${config.nodeName}_${config.instance}` : `${hostname()}_${randomUUID()}`
    const onError = (error: unknown): void => warn(component, error)
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const election = new LeaderElection({ name, component, identity, views, intents, clock: systemClock, timings, lead, onError })
        election.start()
        return election
      }),
      (election) => briefly(() => election.stop(), RELEASING)
    )
  })
