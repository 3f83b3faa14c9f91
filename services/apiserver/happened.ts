/** Whether an intent was decided before, and with what answer: its event is looked for in the log, which forgets nothing. */
import type { Intent, IntentResult, UserInfo } from '#events/Intent.ts'
import { subjectOf } from '#events/Subject.ts'
import type { Views } from '#services/platform/Views.ts'
import { presented } from './request/present.ts'

/** Events of an object looked through for one that an intent made before. */
const LOOK_BACK = 100

/**
 * The answer to an intent that was decided before, perhaps by another API server or one that crashed: its event is
 * among the last ones of its object, each of which names the one before. Those before `since` need no look.
 */
export const happened = async (
  views: Views,
  intent: Intent,
  user: UserInfo,
  since: number,
  name: string
): Promise<IntentResult | undefined> => {
  if (name === '') return undefined
  const view = views.of(intent.ref)
  const kind = views.api.kindOf(intent.ref, intent.version)
  await view.waitFor(await view.log.lastSequence())
  const key = { ...views.api.collectionOf(intent.ref), namespace: intent.namespace, name }
  let sequence = await view.headOf(key)
  const subject = subjectOf(view.stream, key)
  for (let steps = 0; sequence > 0 && steps < LOOK_BACK; steps++) {
    const entry = await view.log.get(sequence, subject)
    if (entry === undefined) return undefined
    const version = view.versionOf(entry)
    // What is not ours stands between two events of the object's.
    if (version === undefined) {
      sequence = (await view.log.lastOn(entry.subject, sequence - 1))?.sequence ?? 0
      continue
    }
    const { id, user: by, expected } = version.facts
    // Only who asked may have the answer.
    if (by === user.username && (id === intent.id || id.startsWith(`${intent.id}.`)))
      return {
        ok: true,
        code: intent.verb === 'create' ? 201 : 200,
        object: kind === undefined ? version.object : presented(kind, version).object,
        sequence
      }
    if (sequence <= since) return undefined
    sequence = expected
  }
  return undefined
}
