/** pods/eviction: a polite delete, the way `kubectl drain` asks for it. */
import type { DeleteOptions, Intent } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import type { Status } from '#events/Refusal.ts'
import type { DecideContext, Decided } from '../decide.ts'
import { decideDelete } from '../verbs/delete.ts'

export const decideEviction = (kind: Kind, intent: Intent, context: DecideContext): Decided => {
  const deleteOptions = intent.object?.['deleteOptions'] as (DeleteOptions & { dryRun?: string[] }) | undefined
  const decided = decideDelete(kind, { ...intent, ...(deleteOptions === undefined ? {} : { deleteOptions }) }, context)
  const status: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }
  return { ...decided, code: 201, status }
}
