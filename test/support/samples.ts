/** A small good object of every kind, as a client would write it. */
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'

const container = { name: 'web', image: 'web:1' }
const labels = { app: 'web' }
const template = { metadata: { labels }, spec: { containers: [container] } }
const subjects = [{ kind: 'User', name: 'ada', apiGroup: 'rbac.authorization.k8s.io' }]
const rules = [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }]
const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' }

const REST: Readonly<Record<string, Record<string, unknown>>> = {
  ConfigMap: { data: { key: 'value' } },
  Endpoints: { subsets: [{ addresses: [{ ip: '10.1.2.3' }], ports: [{ port: 80 }] }] },
  Event: { involvedObject: { kind: 'Pod', namespace: 'default', name: 'web' }, reason: 'Started', message: 'it runs', type: 'Normal' },
  Node: { spec: { unschedulable: true } },
  Pod: { spec: { containers: [container], nodeName: 'n1' } },
  Secret: { data: { key: 'dmFsdWU=' } },
  Service: { spec: { selector: labels, ports: [{ port: 80 }] } },
  Deployment: { spec: { replicas: 2, selector: { matchLabels: labels }, template } },
  ReplicaSet: { spec: { replicas: 2, selector: { matchLabels: labels }, template } },
  ClusterRole: { rules },
  Role: { rules },
  ClusterRoleBinding: { roleRef, subjects },
  RoleBinding: { roleRef, subjects },
  IPAddress: { spec: { parentRef: { resource: 'services', namespace: 'default', name: 'web' } } },
  ServiceCIDR: { spec: { cidrs: ['10.200.0.0/24'] } },
  Lease: { spec: { holderIdentity: 'me', leaseDurationSeconds: 40 } },
  EndpointSlice: { addressType: 'IPv4', endpoints: [{ addresses: ['10.1.2.3'] }], ports: [{ name: 'http', port: 80 }] }
}

/** A definition's name says what it defines. */
const definition = (name: string): Record<string, unknown> => {
  const [plural = '', ...group] = name.split('.')
  const schema = {
    openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: { size: { type: 'integer', minimum: 1 } } } } }
  }
  return {
    spec: {
      group: group.join('.') || 'example.com',
      scope: 'Namespaced',
      names: { plural, kind: plural.replace(/[^a-z]/g, '') },
      versions: [{ name: 'v1', served: true, storage: true, schema }]
    }
  }
}

/** A name such an object may have, where any will do. */
export const sampleName = ({ kind, nameRule }: Pick<Kind, 'kind' | 'nameRule'>, name: string): string =>
  kind === 'CustomResourceDefinition'
    ? `${name}.example.com`
    : nameRule === 'ip'
      ? `10.200.0.${1 + (Array.from(name).reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 250)}`
      : name

/** A new one each time: it may be changed in place. Namespaced ones are in `default`. */
export const sampleOf = ({ group, version, kind, namespaced }: Kind, name: string): KubeObject => ({
  apiVersion: group === '' ? version : `${group}/${version}`,
  kind,
  metadata: { name, ...(namespaced ? { namespace: 'default' } : {}), labels: { ...labels } },
  ...structuredClone(kind === 'CustomResourceDefinition' ? definition(name) : (REST[kind] ?? {}))
})
