/** Notices (core/v1 Event objects): made once per what they say, then counted. Plain functions. */
import { fnv1aHex } from '#events/meta/hash.ts'
import type { Intent } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'

const REF = { group: '', resource: 'events' }

export interface Notice {
  readonly about: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'> & { readonly fieldPath?: string }
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
  readonly component: string
  readonly host?: string
  /** RFC 3339, seconds. */
  readonly time: string
}

/** What is known already: enough of a view to look a notice up. */
interface Known {
  get(key: { group: string; resource: string; namespace: string; name: string }): { readonly object: KubeObject } | undefined
}

export const noticeDraft = (
  known: Known,
  { about, type, reason, message, component, host, time }: Notice
): Omit<Intent, 'id' | 'source' | 'cause'> => {
  const { metadata, apiVersion, kind, fieldPath } = about
  const namespace = (metadata.namespace ?? '') === '' ? 'default' : (metadata.namespace as string)
  // Named after what it says, so that saying it again finds it.
  const name = `${(metadata.name ?? '').slice(0, 200)}.${fnv1aHex([metadata.uid, fieldPath, type, reason, message, component, host].join('\n'))}`
  const base = { ref: REF, version: 'v1', namespace, name, options: { fieldManager: component } } as const
  const present = known.get({ ...REF, namespace, name })
  if (present !== undefined)
    return {
      ...base,
      verb: 'patch',
      patch: {
        type: 'application/merge-patch+json',
        body: { count: ((present.object['count'] as number | undefined) ?? 1) + 1, lastTimestamp: time }
      }
    }
  return {
    ...base,
    verb: 'create',
    object: {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: {
        kind,
        apiVersion,
        name: metadata.name,
        ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
        uid: metadata.uid,
        ...(fieldPath === undefined ? {} : { fieldPath })
      },
      reason,
      message: message.slice(0, 1024),
      type,
      source: { component, ...(host === undefined ? {} : { host }) },
      reportingComponent: component,
      reportingInstance: host ?? component,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1
    }
  }
}
