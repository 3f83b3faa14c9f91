/** What became of a question to the log, by the client library's own errors and codes rather than by their words. Plain functions. */
import { JetStreamApiCodes, JetStreamApiError, JetStreamError } from '@nats-io/jetstream'
import {
  ClosedConnectionError,
  ConnectionError,
  DrainingConnectionError,
  NoRespondersError,
  PermissionViolationError,
  TimeoutError
} from '@nats-io/transport-node'

const NOT_FOUND = 404

/** A batch of direct gets that stopped in its middle. */
export class BatchStalled extends Error {
  override readonly name = 'BatchStalled'
}

const causesOf = (error: unknown): readonly Error[] => {
  const causes: Error[] = []
  for (let at = error; at instanceof Error && causes.length < 8; at = at.cause) causes.push(at)
  return causes
}

/** Nobody answered; the same question may be answered later. */
export const isUnanswered = (error: unknown): boolean =>
  causesOf(error).some((cause) =>
    [TimeoutError, NoRespondersError, ClosedConnectionError, DrainingConnectionError, ConnectionError, BatchStalled].some(
      (kind) => cause instanceof kind
    )
  )

/** Whoever asked may not ask it, today or tomorrow. */
export const isForbidden = (error: unknown): boolean => causesOf(error).some((cause) => cause instanceof PermissionViolationError)

/** There is no such entry. */
export const isNotFound = (error: unknown): boolean =>
  causesOf(error).some(
    (cause) =>
      (cause instanceof JetStreamApiError && cause.code === JetStreamApiCodes.NoMessageFound) ||
      (cause instanceof JetStreamError && 'code' in cause && cause.code === NOT_FOUND)
  )

export const isStreamMissing = (error: unknown): boolean =>
  causesOf(error).some((cause) => cause instanceof JetStreamApiError && cause.code === JetStreamApiCodes.StreamNotFound)
