/** status, finalize: one half of an object, written as the object is; its kind says what belongs to which half. */
import type { StoredSubresource } from './StoredSubresource.ts'
import { methodNotAllowed } from '#events/Refusal.ts'
import { decidePatch } from '#services/apiserver/verbs/patch.ts'
import { decideUpdate } from '#services/apiserver/verbs/update.ts'

export const half: StoredSubresource = {
  decide: (kind, intent, context) => {
    if (intent.verb === 'update') return decideUpdate(kind, intent, context)
    if (intent.verb === 'patch') return decidePatch(kind, intent, context)
    throw methodNotAllowed()
  }
}
