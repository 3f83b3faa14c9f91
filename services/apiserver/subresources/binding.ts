/** pods/binding: the scheduler's decision, which gives a pod its node, once. */
import type { Intent } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { badRequest, conflict, type Status } from '#events/Refusal.ts'
import type { DecideContext, Decided } from '../decide.ts'
import { eventFor, seconds } from '../request/events.ts'
import { existing } from '../verbs/update.ts'

interface Condition {
  readonly type: string
  readonly status: string
}

export const decideBinding = (kind: Kind, intent: Intent, context: DecideContext): Decided => {
  const binding = intent.object as (KubeObject & { target?: { kind?: string; name?: string } }) | undefined
  const node = binding?.target?.name ?? ''
  if (node === '') throw badRequest('Binding in version "v1" cannot be handled as a Binding: target.name: Required value')
  if ((binding?.target?.kind ?? 'Node') !== 'Node') throw badRequest('Binding in version "v1" cannot be handled as a Binding: target.kind: must be Node')
  const entry = existing(kind, intent, context)
  const old = entry.object
  const uid = binding?.metadata?.uid
  if (uid !== undefined && uid !== '' && uid !== old.metadata.uid) throw conflict(kind, intent.name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`)
  if (old.metadata.deletionTimestamp !== undefined) throw conflict(kind, intent.name, `pod ${intent.name} is being deleted, cannot be assigned to a host`)
  if ((old['spec'].nodeName ?? '') !== '') throw conflict(kind, intent.name, `pod ${intent.name} is already assigned to node "${old['spec'].nodeName}"`)
  const now = seconds(context.now)
  const conditions = ((old['status']?.conditions ?? []) as Condition[]).filter(({ type }) => type !== 'PodScheduled')
  const { resourceVersion: _, ...metadata } = old.metadata
  const object: KubeObject = {
    ...old,
    metadata: { ...metadata, ...(binding?.metadata?.annotations === undefined ? {} : { annotations: { ...metadata.annotations, ...binding.metadata.annotations } }) },
    spec: { ...old['spec'], nodeName: node },
    status: {
      ...old['status'],
      conditions: [...conditions, { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: now, ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }) }]
    }
  }
  const status: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }
  const events = intent.options?.dryRun === true ? [] : [eventFor(kind, intent, context, { before: old, after: object, deleted: false })]
  return { events, code: 201, object, status, warnings: [] }
}
