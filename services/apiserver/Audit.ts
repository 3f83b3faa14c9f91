/** The audit trail of what made no event: refused intents go to AUDIT, one message each, without bodies. */
import type { NatsConnection } from '@nats-io/transport-node'
import type { Intent, UserInfo } from '#events/Intent.ts'
import { encodeToken } from '#events/Subject.ts'
import type { Status } from '#events/Refusal.ts'
import type { Clock } from '../platform/Clock.ts'

/** Refusals on their way to the stream; beyond it they are counted and the count is written instead. */
const OUTSTANDING = 1_000

export class Audit {
  readonly #connection: NatsConnection
  readonly #clock: Clock
  readonly #sheds: () => boolean
  #outstanding = 0
  #dropped = 0

  /** `sheds`: true while there is no room for records that are not the state itself; they are counted. */
  constructor(connection: NatsConnection, clock: Clock, sheds: () => boolean = () => false) {
    this.#connection = connection
    this.#clock = clock
    this.#sheds = sheds
  }
  /** What was asked, by whom, and why it was refused; never the object, which may hold a secret. */
  refused(intent: Intent, user: UserInfo, status: Status): void {
    if (this.#outstanding >= OUTSTANDING || this.#sheds()) {
      this.#dropped += 1
      return
    }
    const { ref, namespace, name, subresource, verb, id, source, command, cause } = intent
    const record = {
      time: new Date(this.#clock.now()).toISOString(),
      stage: 'Refused',
      user: user.username,
      groups: user.groups,
      verb,
      ...ref,
      namespace,
      name,
      subresource,
      source,
      command,
      intent: id,
      causationRef: cause?.ref,
      code: status.code,
      reason: status.reason,
      message: status.message,
      ...(this.#dropped === 0 ? {} : { droppedBefore: this.#dropped })
    }
    this.#dropped = 0
    this.#outstanding += 1
    const subject = `audit.${verb}.${ref.group === '' ? 'core' : encodeToken(ref.group)}.${encodeToken(ref.resource)}`
    void this.#connection
      .request(subject, JSON.stringify(record), { timeout: 5_000 })
      .catch(() => void (this.#dropped += 1))
      .finally(() => void (this.#outstanding -= 1))
  }
}
