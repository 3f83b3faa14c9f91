/** Between objects and the log: bodies of confidential kinds are sealed on the way in, and opened on the way out. */
import type { EventRecord, NewEvent } from '#events/Event.ts'
import { halvesOf, hasContents, isConfidential, joinedBody, openBody, sealedBody, sealedIn, SEALED_HEADER } from '#events/confidential.ts'
import type { LogEntry } from '#events/Log.ts'
import { conflict } from '#events/Refusal.ts'
import type { ObjectKeys } from './ObjectKeys.ts'

export class Vault {
  readonly keys: ObjectKeys
  readonly #settled: number

  /** `settled`: the log's last sequence from before the keys were read. What is sealed up to there has its key by now, or none. */
  constructor(keys: ObjectKeys, settled = 0) {
    this.keys = keys
    this.#settled = settled
  }
  /** What has to be awaited before the events may be stored: new objects need keys. Throws a Refusal for contents nobody could read. */
  prepare(events: readonly NewEvent[]): Promise<unknown> | undefined {
    // Such an object is there when a log is brought back up to a moment before its deletion; a second key would not open its past.
    const lost = events.find(
      ({ key, object, deleted }) =>
        !deleted && isConfidential(key) && this.keys.state(object.metadata.uid as string) === 'destroyed' && hasContents(object)
    )
    if (lost !== undefined)
      throw conflict(
        lost.key,
        lost.key.name,
        'its key was destroyed, and nothing of it can be stored any more; delete it, and create it anew'
      )
    const missing = events.filter(({ key, object }) => isConfidential(key) && this.keys.state(object.metadata.uid as string) === 'unknown')
    return missing.length === 0
      ? undefined
      : Promise.all(missing.map(({ key, object }) => this.keys.ensure(object.metadata.uid as string, `${key.namespace}/${key.name}`)))
  }
  /** The event as it is stored. An object whose key was destroyed leaves no contents behind when it goes. */
  protect({ key, object }: NewEvent, record: EventRecord): EventRecord {
    if (!isConfidential(key)) return record
    const uid = object.metadata.uid as string
    const { open, secret } = halvesOf(object)
    const text = this.keys.state(uid) === 'here' ? sealedBody(open, this.keys.seal(uid, secret)) : sealedBody(open, '')
    return { headers: { ...record.headers, [SEALED_HEADER]: uid }, text }
  }
  /** True when the key of a sealed entry may still be on its way here. */
  isEarly({ headers, sequence }: LogEntry): boolean {
    const uid = headers[SEALED_HEADER]
    return uid !== undefined && sequence > this.#settled && this.keys.state(uid) === 'unknown'
  }
  /** The entry's body as the API shows it. */
  reveal({ headers, text }: LogEntry): string {
    const uid = headers[SEALED_HEADER]
    if (uid === undefined) return text
    const sealed = sealedIn(text) ?? ''
    const secret = sealed === '' ? undefined : this.keys.open(uid, sealed)
    return secret === undefined ? openBody(text, 'erased') : joinedBody(text, secret)
  }
}
