/** ServiceAccount: pods run as an account that exists, and its token is mounted unless the pod or the account says no. */
import { PODS, SERVICE_ACCOUNTS } from '#events/collections.ts'
import type { Container, Pod, PodSpec, ServiceAccount as AccountType, Volume, VolumeMount } from '#events/schema/generated/core.v1.ts'
import { MIRROR } from '#events/core/pod/mirror.ts'
import type { Kind } from '#events/Kind.ts'
import { asOneOf } from '#events/KubeObject.ts'
import { forbidden } from '#events/Refusal.ts'
import type { AdmissionPlugin } from '#services/apiserver/decision.ts'
import { generatedSuffix } from '#services/apiserver/request/names.ts'
import { apiReferenceOf } from './podReferences.ts'

const TOKEN_MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'
/** Upstream's: an hour, and a little so that a refresh at 80 % never finds an expired one. */
const TOKEN_SECONDS = 3607
const USUAL = 'default'

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
export const addTokenVolume = (pod: Pod, suffix: string, account?: AccountType): void => {
  const { spec } = pod
  if ((spec.automountServiceAccountToken ?? account?.automountServiceAccountToken ?? true) === false) return
  const volume = spec.volumes?.find(({ name }) => name?.startsWith('kube-api-access-') === true) ?? tokenVolume(suffix)
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? [])]
  for (const container of containers) addTokenMount(container, volume.name)
  const used = containers.some((container) => container.volumeMounts?.some(({ name }) => name === volume.name))
  if (used && !spec.volumes?.includes(volume)) spec.volumes = [...(spec.volumes ?? []), volume]
}

/** The account a pod runs as, under both of its names. In place. */
export const nameAccount = (pod: Pod): string => {
  const spec = (pod.spec ??= {} as PodSpec)
  spec.serviceAccountName ||= USUAL
  spec.serviceAccount = spec.serviceAccountName
  return spec.serviceAccountName
}

/** A mirror pod runs already: what is added to it here would be a lie, and what it may not use it must not name. */
const admitMirror = (kind: Kind, pod: Pod): void => {
  const name = pod.metadata.name ?? ''
  const reference = apiReferenceOf(pod)
  if (reference === 'serviceaccounts') throw forbidden(kind, name, 'a mirror pod may not reference service accounts')
  if (reference?.startsWith('secrets') === true) throw forbidden(kind, name, 'a mirror pod may not reference secrets')
  if (reference?.startsWith('serviceaccounts') === true)
    throw forbidden(kind, name, 'a mirror pod may not use ServiceAccountToken volume projections')
}

export const ServiceAccount: AdmissionPlugin = {
  name: 'ServiceAccount',
  handles: (operation, { group, resource }, subresource) =>
    operation === 'CREATE' && group === '' && resource === 'pods' && subresource === '',
  admit({ kind, namespace, object }, { context }) {
    if (object === undefined) return
    const pod = asOneOf(PODS, object)
    if (pod.metadata.annotations?.[MIRROR] !== undefined) return admitMirror(kind, pod)
    const name = nameAccount(pod)
    const account = context.view.get({ ...SERVICE_ACCOUNTS, namespace, name })
    if (account === undefined)
      throw forbidden(
        kind,
        pod.metadata.name ?? '',
        `error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`
      )
    addTokenVolume(pod, generatedSuffix(context.random), account.object)
  }
}
