/**
 * Names the server makes up, as they follow from the intent: asked again, also of another server or after a crash, the same ones
 * are tried in the same order, and so what was created before is found under one of them. Drawn anew each time, a lost answer
 * would make a second object.
 */
import type { Api } from '#events/Api.ts'
import type { Intent, UserInfo } from '#events/Intent.ts'
import { sha256 } from '#services/platform/ledger/Seal.ts'
import { answerKey } from './Answers.ts'
import { generatedName } from './request/names.ts'

/** As upstream (KEP-4420): so many names are tried when others have them. */
const NAMES = 8
const BYTES = 4

export interface MadeUp {
  readonly name: string
  /** In [0, 1): a fresh draw of the letters, for the one who decides. */
  letters(): () => number
}

/** The names of a create that leaves its name to the server, in the order they are tried; undefined for every other intent. */
export const madeUpNames = (api: Api, intent: Intent, user: UserInfo): readonly MadeUp[] | undefined => {
  const { name, generateName } = (intent.object?.metadata ?? {}) as { readonly name?: unknown; readonly generateName?: unknown }
  if (intent.verb !== 'create' || intent.name !== '' || (name !== undefined && name !== null && name !== '')) return undefined
  if (typeof generateName !== 'string' || generateName === '' || api.kindOf(intent.ref) === undefined) return undefined
  return Array.from({ length: NAMES }, (_, at) => {
    const drawn = Buffer.from(sha256(Buffer.from(`${at}:${answerKey(intent, user)}`)))
    const letters = (): (() => number) => {
      let next = 0
      return () => drawn.readUInt32LE((next++ * BYTES) % drawn.length) / 2 ** 32
    }
    return { name: generatedName(generateName, letters()), letters }
  })
}
