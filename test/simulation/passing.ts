/**
 * The errors that are no fault of anybody in this world: what comes of lost messages, of a log that is away or full, of state that
 * moved on. They are known by their classes and reasons; whatever else is told fails the seed.
 */
import { NoAnswer } from '#events/Intent.ts'
import { AppendUncertain, LogAway, LogRefused } from '#events/Log.ts'
import { isPassing, Refusal, type Status } from '#events/Refusal.ts'
import { Outrun, Stopped } from '#services/platform/Controller.ts'
import { Refused } from '#services/platform/decision.ts'
import { ViewBehind, ViewClosed } from '#services/platform/View.ts'
import { Later } from '#services/apiserver/nodes/submit.ts'
import { LeadershipLost } from '#services/platform/LeaderElection.ts'
import { Unacknowledged } from './Link.ts'

const PASSING = [NoAnswer, AppendUncertain, LogAway, ViewBehind, ViewClosed, Outrun, Stopped, LeadershipLost, Unacknowledged] as const

/** No room on the disk; a namespace that goes; a moment at which there was nobody. */
const passes = (status: Status): boolean =>
  isPassing(status) ||
  status.reason === 'InsufficientStorage' ||
  status.details?.causes?.some(({ reason }) => reason === 'NamespaceTerminating' || reason === 'TermEnded') === true

export const isPassingError = (error: unknown): boolean => {
  if (PASSING.some((kind) => error instanceof kind)) return true
  if (error instanceof LogRefused) return error.why === 'full'
  if (error instanceof Refused || error instanceof Refusal) return passes(error.status)
  if (error instanceof Later || (error instanceof Error && error.cause !== undefined))
    return error.cause === undefined || isPassingError(error.cause)
  return false
}
