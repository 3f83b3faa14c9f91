/** NamespaceLifecycle: nothing comes to be in a namespace that is not there or is going, and some namespaces never go. */
import { NAMESPACES } from '#events/collections.ts'
import { forbidden, notFound } from '#events/Refusal.ts'
import { NOTHING, type AdmissionPlugin } from '#services/apiserver/decision.ts'

/** The cluster's own. */
const IMMORTAL = new Set(['default', 'kube-system', 'kube-public'])

export const NamespaceLifecycle: AdmissionPlugin = {
  name: 'NamespaceLifecycle',
  handles: (operation, kind, subresource) =>
    subresource === '' &&
    (operation === 'DELETE' ? kind.group === '' && kind.resource === NAMESPACES.resource : operation === 'CREATE' && kind.namespaced),
  admit({ operation, kind, namespace, name, object }, { context }) {
    if (operation === 'DELETE') {
      if (IMMORTAL.has(name)) throw forbidden(kind, name, 'this namespace may not be deleted')
      return
    }
    const present = context.view.get({ ...NAMESPACES, namespace: '', name: namespace })
    if (present === undefined) throw notFound(NAMESPACES, namespace)
    // Leases of nodes and notices about deleted namespaces must not depend on the namespace's state.
    if (present.object.metadata.deletionTimestamp !== undefined && kind.stream === 'EVENTS')
      throw forbidden(
        kind,
        object?.metadata.name ?? '',
        `unable to create new content in namespace ${namespace} because it is being terminated`,
        [{ reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' }]
      )
  },
  /**
   * What was seen of the namespace must still be so when the object is stored: this API server may not have heard yet that it goes, and
   * whoever empties it looks only once it stands still. Upstream lets a moment pass instead, and hopes.
   */
  validate({ operation, kind, namespace }, { context }) {
    if (operation !== 'CREATE' || !kind.namespaced || kind.stream !== 'EVENTS') return NOTHING
    const key = { ...NAMESPACES, namespace: '', name: namespace }
    return { ...NOTHING, guards: [{ key, expected: context.head(key) }] }
  }
}
