/** The CA publisher's decision: every namespace has the cluster's CA in the ConfigMap `kube-root-ca.crt`. */
import { CONFIGMAPS, NAMESPACES } from '#events/collections.ts'
import { ConfigMap } from '#events/core/ConfigMap.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Decision } from '#services/platform/decision.ts'
import { create, merge } from '#services/controller-manager/asks.ts'

export const NAME = 'root-ca-cert-publisher'
export const CONFIGMAP = 'kube-root-ca.crt'

/** `key`: the namespace's name. `ca`: PEM. */
export const decide = (view: ObjectsView, key: string, ca: string): Decision => {
  const namespace = view.get({ ...NAMESPACES, namespace: '', name: key })?.object
  if (namespace === undefined || namespace.metadata.deletionTimestamp !== undefined) return NOTHING
  const present = view.get({ ...CONFIGMAPS, namespace: key, name: CONFIGMAP })?.object
  if (present === undefined)
    return {
      asks: [
        create(ConfigMap, {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: {
            name: CONFIGMAP,
            namespace: key,
            annotations: { 'kubernetes.io/description': "The certificate authority that signed the API server's certificate." }
          },
          data: { 'ca.crt': ca }
        })
      ]
    }
  return present.data?.['ca.crt'] === ca ? NOTHING : { asks: [merge(ConfigMap, present, { data: { 'ca.crt': ca } })] }
}
