/**
 * What was answered lately, so that an intent that is delivered twice is answered twice and decided once: by user and intent,
 * for an id is no secret and its answer may be. An object is remembered as its place in the log, which has it for ever.
 */
import type { Intent, IntentResult, UserInfo } from '#events/Intent.ts'
import { isPassing } from '#events/Refusal.ts'
import type { Views } from '#services/platform/Views.ts'
import { presented } from './request/present.ts'

/** All of them together. */
const BUDGET = 4 * 1024 * 1024
/** A key, a map's slot and a small record. */
const OVERHEAD = 256
/** A refusal, a Status or a Scale that is longer is rather decided again: none of them changed anything that it would not again. */
const LARGEST = 8 * 1024
const FULL = 507

interface Place {
  readonly sequence: number
  readonly code: number
  readonly unchanged?: true
  readonly warnings?: readonly string[]
}

type Remembered = ({ readonly whole: IntentResult } | { readonly place: Place }) & { readonly cost: number }

export class Answers {
  readonly #views: Views
  readonly #budget: number
  readonly #given = new Map<string, Remembered>()
  #cost = 0

  constructor(views: Views, budget = BUDGET) {
    this.#views = views
    this.#budget = budget
  }
  get size(): number {
    return this.#given.size
  }
  get cost(): number {
    return this.#cost
  }
  remember(intent: Intent, user: UserInfo, result: IntentResult): void {
    const key = answerKey(intent, user)
    const remembered = this.#remembered(intent, result, OVERHEAD + 2 * key.length)
    if (remembered === undefined || this.#given.has(key)) return
    this.#given.set(key, remembered)
    this.#cost += remembered.cost
    for (const [oldest, { cost }] of this.#given) {
      if (this.#cost <= this.#budget) break
      this.#given.delete(oldest)
      this.#cost -= cost
    }
  }
  #remembered(intent: Intent, result: IntentResult, base: number): Remembered | undefined {
    // A dry run changes nothing: it may be decided as often as it is asked for. A refusal that passes, as a full disk does, is no answer
    // to keep.
    if (intent.options?.dryRun === true || (!result.ok && (isPassing(result.status) || result.status.code === FULL))) return undefined
    const keepsVersions = this.#views.api.kindOf(intent.ref)?.stream !== 'PULSE'
    if (result.ok && result.text !== undefined && keepsVersions) {
      const { sequence, code, unchanged, warnings } = result
      return {
        place: { sequence, code, ...(unchanged === undefined ? {} : { unchanged }), ...(warnings === undefined ? {} : { warnings }) },
        cost: base + lengthOf(warnings)
      }
    }
    const length = lengthOf(result)
    return length > LARGEST ? undefined : { whole: result, cost: base + 2 * length }
  }
  /** The answer given before; undefined when none is remembered. */
  find(intent: Intent, user: UserInfo): Promise<IntentResult | undefined> | undefined {
    const known = this.#given.get(answerKey(intent, user))
    if (known === undefined) return undefined
    return 'whole' in known ? Promise.resolve(known.whole) : this.#read(intent, known.place)
  }
  async #read(intent: Intent, { sequence, ...rest }: Place): Promise<IntentResult | undefined> {
    const view = this.#views.of(intent.ref)
    const stored = await view.log.get(sequence)
    const version = stored === undefined ? undefined : view.versionOf(stored)
    if (version === undefined) return undefined
    const kind = this.#views.api.kindOf(intent.ref, intent.version)
    const shown = kind === undefined ? version : presented(kind, version)
    return { ok: true, object: shown.object, text: shown.text, sequence, ...rest }
  }
}

/** Both parts are others' words: the length says where the first one ends. */
export const answerKey = ({ id }: Intent, { username }: UserInfo): string => `${username.length}:${username}:${id}`

const lengthOf = (value: unknown): number => (value === undefined ? 0 : JSON.stringify(value).length)
