/** The defaults of a pod's spec, shared by pods and pod templates. */
import type {
  Container,
  ContainerPort,
  EnvVar,
  Lifecycle,
  Pod,
  PodSpec,
  Probe,
  ResourceRequirements,
  Volume
} from '#events/schema/generated/core.v1.ts'
import { canonicalQuantity } from '#events/meta/Quantity.ts'
import { qosClassOf } from './qos.ts'

/** 0644: how files of a volume are made. */
const FILE_MODE = 420

/** `:latest` and untagged images are pulled every time. A digest pins an image, so it is not. */
export const pullPolicyOf = (image: string): 'Always' | 'IfNotPresent' => {
  if (image.includes('@')) return 'IfNotPresent'
  const tag = /:([^:/]*)$/.exec(image)?.[1]
  return tag === undefined || tag === 'latest' ? 'Always' : 'IfNotPresent'
}

const defaultHttpGet = (action: { path?: string; scheme?: string } | undefined): void => {
  if (action === undefined) return
  action.path ||= '/'
  action.scheme ||= 'HTTP'
}

const defaultProbe = (probe: Probe | undefined): void => {
  if (probe === undefined) return
  probe.timeoutSeconds ||= 1
  probe.periodSeconds ||= 10
  probe.successThreshold ||= 1
  probe.failureThreshold ||= 3
  defaultHttpGet(probe.httpGet)
  const grpc = (probe as { grpc?: { service?: string } }).grpc
  if (grpc !== undefined) grpc.service ??= ''
}

const defaultLifecycle = (lifecycle: Lifecycle | undefined): void => {
  defaultHttpGet(lifecycle?.postStart?.httpGet)
  defaultHttpGet(lifecycle?.preStop?.httpGet)
}

const canonical = (amounts: Record<string, string> | undefined): void => {
  for (const name in amounts) amounts[name] = canonicalQuantity(amounts[name] as string)
}

const defaultResources = (resources: ResourceRequirements): void => {
  canonical(resources.limits as Record<string, string> | undefined)
  canonical(resources.requests as Record<string, string> | undefined)
}

const defaultEnv = (env: readonly EnvVar[] | undefined): void => {
  for (const { valueFrom } of env ?? []) {
    if (valueFrom?.fieldRef !== undefined) valueFrom.fieldRef.apiVersion ||= 'v1'
    if (valueFrom?.resourceFieldRef !== undefined) valueFrom.resourceFieldRef.divisor ??= '0'
  }
}

const defaultContainer = (container: Container): void => {
  container.imagePullPolicy ||= pullPolicyOf(container.image ?? '')
  container.terminationMessagePath ||= '/dev/termination-log'
  container.terminationMessagePolicy ||= 'File'
  defaultResources((container.resources ??= {}))
  for (const port of container.ports ?? []) {
    const loose: Partial<ContainerPort> = port
    loose.protocol ||= 'TCP'
  }
  defaultEnv(container.env)
  defaultProbe(container.livenessProbe)
  defaultProbe(container.readinessProbe)
  defaultProbe(container.startupProbe)
  defaultLifecycle(container.lifecycle)
}

const fieldRefs = (items: readonly { fieldRef?: { apiVersion?: string }; resourceFieldRef?: { divisor?: string } }[] | undefined): void => {
  for (const item of items ?? []) {
    if (item.fieldRef !== undefined) item.fieldRef.apiVersion ||= 'v1'
    if (item.resourceFieldRef !== undefined) item.resourceFieldRef.divisor ??= '0'
  }
}

const defaultVolume = (volume: Volume): void => {
  if (volume.configMap !== undefined) volume.configMap.defaultMode ??= FILE_MODE
  else if (volume.secret !== undefined) volume.secret.defaultMode ??= FILE_MODE
  else if (volume.projected !== undefined) {
    volume.projected.defaultMode ??= FILE_MODE
    for (const source of volume.projected.sources ?? []) {
      if (source.serviceAccountToken !== undefined) source.serviceAccountToken.expirationSeconds ??= 3600
      fieldRefs(source.downwardAPI?.items)
    }
  } else if (volume.downwardAPI !== undefined) {
    volume.downwardAPI.defaultMode ??= FILE_MODE
    fieldRefs(volume.downwardAPI.items)
  } else if (volume.hostPath !== undefined) volume.hostPath.type ??= ''
  else if (Object.keys(volume).length === 1 && volume.name !== undefined) volume.emptyDir = {}
}

export const defaultPodSpec = (spec: PodSpec): void => {
  spec.restartPolicy ||= 'Always'
  spec.dnsPolicy ||= 'ClusterFirst'
  spec.schedulerName ||= 'default-scheduler'
  spec.terminationGracePeriodSeconds ??= 30
  spec.securityContext ??= {}
  // The older name of the field is kept in step, as clients of either read it.
  if (spec.serviceAccountName) spec.serviceAccount = spec.serviceAccountName
  else if (spec.serviceAccount) spec.serviceAccountName = spec.serviceAccount
  for (const container of spec.containers ?? []) defaultContainer(container)
  for (const container of spec.initContainers ?? []) defaultContainer(container)
  for (const volume of spec.volumes ?? []) defaultVolume(volume)
}

/** Of pods only: in a template they would outlive the limits, and the ports, that they were taken from. */
const defaultPodContainer = ({ resources, ports }: Container, hostNetwork: boolean): void => {
  for (const name in resources?.limits) {
    const requests = (resources.requests ??= {})
    requests[name] ??= resources.limits[name] as string
  }
  if (!hostNetwork) return
  for (const port of ports ?? []) port.hostPort ||= port.containerPort
}

export const defaultPod = (pod: Pod): void => {
  const spec = (pod.spec ??= {} as PodSpec)
  defaultPodSpec(spec)
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])])
    defaultPodContainer(container, spec.hostNetwork === true)
  spec.enableServiceLinks ??= true
  const status = (pod.status ??= {})
  status.phase ||= 'Pending'
  status.qosClass ||= qosClassOf(spec)
}
