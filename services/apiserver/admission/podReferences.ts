/** What a pod's spec names of the API: a pod the node makes up itself must need none of it (upstream's `HasAPIObjectReference`). */
import { isObject } from '#events/meta/json.ts'
import type { Pod } from '#events/schema/generated/core.v1.ts'

/** True when `field` is somewhere below with a name in it. */
const names = (value: unknown, fields: ReadonlySet<string>): boolean => {
  if (Array.isArray(value)) return value.some((item) => names(item, fields))
  if (!isObject(value)) return false
  return Object.entries(value).some(([field, part]) => (fields.has(field) ? hasName(part) : names(part, fields)))
}

const hasName = (value: unknown): boolean =>
  typeof value === 'string'
    ? value !== ''
    : Array.isArray(value)
      ? value.some(hasName)
      : isObject(value) && (hasName(value['name'] ?? '') || hasName(value['secretName'] ?? ''))

const SECRETS = new Set(['imagePullSecrets', 'secretKeyRef', 'secretRef', 'secret', 'secretName', 'nodePublishSecretRef'])
const CONFIG_MAPS = new Set(['configMapKeyRef', 'configMapRef', 'configMap'])

/** Volumes that need nothing of the API, by upstream's list. */
const PLAIN_VOLUMES = new Set([
  'awsElasticBlockStore',
  'azureDisk',
  'cephfs',
  'cinder',
  'downwardAPI',
  'emptyDir',
  'fc',
  'flexVolume',
  'flocker',
  'gcePersistentDisk',
  'gitRepo',
  'hostPath',
  'image',
  'iscsi',
  'nfs',
  'photonPersistentDisk',
  'portworxVolume',
  'quobyte',
  'rbd',
  'scaleIO',
  'storageos',
  'vsphereVolume'
])

const VOLUMES: Readonly<Record<string, string>> = {
  configMap: 'configmaps (via configmap volumes)',
  secret: 'secrets (via secret volumes)',
  csi: 'csidrivers (via CSI volumes)',
  glusterfs: 'endpoints (via glusterFS volumes)',
  persistentVolumeClaim: 'persistentvolumeclaims',
  ephemeral: 'persistentvolumeclaims (via ephemeral volumes)',
  azureFile: 'secrets (via azureFile volumes)'
}

const PROJECTIONS: Readonly<Record<string, string>> = {
  configMap: 'configmaps (via projected volumes)',
  secret: 'secrets (via projected volumes)',
  serviceAccountToken: 'serviceaccounts (via projected volumes)',
  clusterTrustBundle: 'clustertrustbundles',
  podCertificate: 'podcertificates'
}

/** `secrets`, `configmaps (via projected volumes)` …; undefined when the pod stands alone. */
export const apiReferenceOf = (pod: Pod): string | undefined => {
  const spec: Partial<Pod['spec']> = pod.spec ?? {}
  if ((spec.serviceAccountName ?? '') !== '') return 'serviceaccounts'
  if (names(spec, SECRETS)) return 'secrets'
  if (names(spec, CONFIG_MAPS)) return 'configmaps'
  if ((spec.resourceClaims ?? []).length > 0) return 'resourceclaims'
  for (const volume of spec.volumes ?? []) {
    const source = Object.keys(volume).find((field) => field !== 'name')
    if (source === 'projected') {
      for (const part of volume.projected?.sources ?? [])
        for (const field of Object.keys(part))
          if (field !== 'downwardAPI') return PROJECTIONS[field] ?? 'unknown sources of projected volumes'
    } else if (source === undefined || !PLAIN_VOLUMES.has(source)) return VOLUMES[source ?? ''] ?? 'unknown volume types'
  }
  return undefined
}
