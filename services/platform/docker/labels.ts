/** A container's identity as Docker labels, and back. */
import type { Identity } from '#services/platform/Runtime.ts'

export interface Owner {
  /** The cluster's instance id. */
  readonly instance: string
  readonly node: string
}

export const INSTANCE = 'io.reckon.instance'
export const NODE = 'io.reckon.node'
export const POD_UID = 'io.kubernetes.pod.uid'

export const labelsOf = ({ instance, node }: Owner, identity: Identity, image: string): Record<string, string> => ({
  [INSTANCE]: instance,
  [NODE]: node,
  [POD_UID]: identity.podUid,
  'io.kubernetes.pod.namespace': identity.namespace,
  'io.kubernetes.pod.name': identity.pod,
  'io.kubernetes.container.name': identity.container === '' ? 'POD' : identity.container,
  'io.reckon.sandbox': String(identity.sandbox),
  'io.reckon.attempt': String(identity.attempt),
  'io.reckon.back-off': String(identity.backOff),
  'io.reckon.spec-hash': identity.specHash,
  'io.reckon.pod-start': String(identity.podStart),
  'io.reckon.image': image
})

/** Undefined when the labels are not complete: somebody else's container. */
export const identityOf = (labels: Readonly<Record<string, string>>): Identity | undefined => {
  const podUid = labels[POD_UID]
  const container = labels['io.kubernetes.container.name']
  if (podUid === undefined || container === undefined) return undefined
  const count = (name: string): number => Number(labels[`io.reckon.${name}`] ?? 0) || 0
  return {
    podUid,
    namespace: labels['io.kubernetes.pod.namespace'] ?? '',
    pod: labels['io.kubernetes.pod.name'] ?? '',
    container: container === 'POD' ? '' : container,
    sandbox: count('sandbox'),
    attempt: count('attempt'),
    backOff: count('back-off'),
    specHash: labels['io.reckon.spec-hash'] ?? '',
    podStart: count('pod-start')
  }
}

/** Unique per identity, so that a start repeated after a lost answer finds its first try. */
export const containerName = ({ instance }: Owner, { podUid, namespace, pod, container, sandbox, attempt }: Identity): string =>
  `rk-${instance}_${container === '' ? `POD_${sandbox}` : container}_${pod}_${namespace}_${podUid}_${container === '' ? sandbox : attempt}`
