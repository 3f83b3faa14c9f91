/** What admission adds to a new pod: tolerations for a lost node, the default service account and its token volume, the priority. */
import type { Container, PodSpec, Toleration, Volume, VolumeMount } from 'kubernetes-types/core/v1'
import type { KubeObject } from '../../KubeObject.ts'

const LOST = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']
const LOST_SECONDS = 300

const TOKEN_MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'
/** Upstream's: an hour, and a little so that a refresh at 80 % never finds an expired one. */
const TOKEN_SECONDS = 3607

const tolerates = (toleration: Toleration, key: string): boolean =>
  (toleration.key === key || (!toleration.key && toleration.operator === 'Exists')) && (toleration.effect === 'NoExecute' || !toleration.effect)

/** The volume every pod gets the API server's address and its own token from. */
const tokenVolume = (suffix: string): Volume => ({
  name: `kube-api-access-${suffix}`,
  projected: {
    sources: [
      { serviceAccountToken: { expirationSeconds: TOKEN_SECONDS, path: 'token' } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } }
    ],
    defaultMode: 420
  }
})

const addTokenMount = (container: Container, volumeName: string): void => {
  if (container.volumeMounts?.some((mount) => mount.mountPath === TOKEN_MOUNT_PATH)) return
  const mount: VolumeMount = { name: volumeName, readOnly: true, mountPath: TOKEN_MOUNT_PATH }
  container.volumeMounts = [...(container.volumeMounts ?? []), mount]
}

/**
 * Mounts the account's token into every container, unless the pod or its account says no.
 * @param suffix five letters, e.g. of the name generator
 * @param account the pod's ServiceAccount, when it is known
 */
export const addTokenVolume = (pod: KubeObject, suffix: string, account?: KubeObject): void => {
  const spec: PodSpec = pod['spec']
  if ((spec.automountServiceAccountToken ?? account?.['automountServiceAccountToken'] ?? true) === false) return
  const volume = spec.volumes?.find(({ name }: { name?: string }) => name?.startsWith('kube-api-access-') === true) ?? tokenVolume(suffix)
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? [])]
  for (const container of containers) addTokenMount(container, volume.name)
  const used = containers.some((container) => container.volumeMounts?.some(({ name }) => name === volume.name))
  if (used && !spec.volumes?.includes(volume)) spec.volumes = [...(spec.volumes ?? []), volume]
}

/** Fills in what a pod gets on creation besides its defaults, in place. */
export const admitPod = (pod: KubeObject): void => {
  const spec: PodSpec = (pod['spec'] ??= {})
  if (!spec.serviceAccountName) {
    spec.serviceAccountName = 'default'
    spec.serviceAccount = 'default'
  }
  spec.priority ??= 0
  spec.preemptionPolicy ??= 'PreemptLowerPriority'
  tolerateLoss(pod)
}

/** As upstream, on updates as well: who sends back the pod as they once wrote it means to take no toleration away. */
export const tolerateLoss = (pod: KubeObject): void => {
  const spec: PodSpec = (pod['spec'] ??= {})
  const missing = LOST.filter((key) => !spec.tolerations?.some((toleration) => tolerates(toleration, key)))
  if (missing.length > 0)
    spec.tolerations = [...(spec.tolerations ?? []), ...missing.map((key): Toleration => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: LOST_SECONDS }))]
}
