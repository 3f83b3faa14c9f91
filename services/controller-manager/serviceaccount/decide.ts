/** The service account controller's decision: every namespace has a `default` account. */
import { NAMESPACES, SERVICE_ACCOUNTS } from '#events/collections.ts'
import { ServiceAccount } from '#events/core/ServiceAccount.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type DecideContext, type Decision } from '#services/platform/decision.ts'
import { create } from '#services/controller-manager/asks.ts'

export const NAME = 'serviceaccount-controller'

/** `key`: the namespace's name. */
export const decide = (view: ObjectsView, key: string, _context: DecideContext): Decision => {
  const namespace = view.get({ ...NAMESPACES, namespace: '', name: key })?.object
  if (namespace === undefined || namespace.metadata.deletionTimestamp !== undefined) return NOTHING
  if (view.get({ ...SERVICE_ACCOUNTS, namespace: key, name: 'default' }) !== undefined) return NOTHING
  return { asks: [create(ServiceAccount, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: key } })] }
}
