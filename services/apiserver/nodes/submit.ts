/**
 * Puts what a node said to the decider, and sorts what comes of it: decided, outrun by somebody else's write, refused for
 * good, or not known yet (`Later`), which is never taken for an end.
 */
import type { UserInfo } from '#events/Intent.ts'
import { LogRefused } from '#events/Log.ts'
import { Refusal, type Status } from '#events/Refusal.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { Decider } from '#services/apiserver/Decider.ts'
import type { Draft } from './decide.ts'

export type Verdict =
  | { readonly what: 'decided' }
  /** The object is not what the draft was made for: draft again. */
  | { readonly what: 'outrun'; readonly status: Status }
  | { readonly what: 'refused'; readonly status: Status }

/** What became of it is not known, or will be another if it is asked again. */
export class Later extends Error {
  override readonly name = 'Later'
  /** Milliseconds: not before, when the decider named a time. */
  readonly afterMs: number
  constructor(message: string, afterMs = 0, options?: ErrorOptions) {
    super(message, options)
    this.afterMs = afterMs
  }
}

const OUTRUN = new Set(['Conflict', 'NotFound', 'AlreadyExists'])
const TOO_MANY = 429

export interface Identified {
  readonly id: string
  /** It may have been decided before, and the answer was lost. */
  readonly again?: boolean
}

export interface SubmitOptions {
  readonly decider: Decider
  readonly clock: Clock
}

export const submit = async (
  { decider, clock }: SubmitOptions,
  node: string,
  draft: Draft,
  { id, again = false }: Identified = { id: clock.uuid() }
): Promise<Verdict> => {
  const user: UserInfo = { username: `system:node:${node}`, groups: ['system:nodes', 'system:authenticated'] }
  let status: Status
  try {
    const result = await decider.submit({ ...draft, id, ...(again ? { again: true } : {}), source: `kubelet/${node}` }, user)
    if (result.ok) return { what: 'decided' }
    status = result.status
  } catch (error) {
    if (error instanceof Refusal) status = error.status
    else if (error instanceof LogRefused && (error.why === 'too-large' || error.why === 'malformed'))
      status = new Refusal(422, 'Invalid', error.message).status
    else if (isOurs(error)) throw error
    else throw new Later(error instanceof Error ? error.message : String(error), 0, { cause: error })
  }
  const { code = 500, reason = '', message = reason } = status
  if (OUTRUN.has(reason)) return { what: 'outrun', status }
  if (code === TOO_MANY || code >= 500) throw new Later(message, (status.details?.retryAfterSeconds ?? 0) * 1000)
  return { what: 'refused', status }
}

/** A mistake in our own code and not something that passes. */
export const isOurs = (error: unknown): boolean =>
  [TypeError, RangeError, ReferenceError, SyntaxError].some((kind) => error instanceof kind)

const FIRST_MS = 100
const LAST_MS = 5_000

/** Milliseconds until the next try, after `failures` of them: longer each time, and never many at once. */
export const backOff = (failures: number, clock: Clock, atLeast = 0): number =>
  Math.max(atLeast, Math.min(LAST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 10)) * (0.75 + clock.random() / 2))
