/** The faults of a pod's spec, for pods and pod templates, in the order upstream lists them. */
import type { PodSpec } from '#events/schema/generated/core.v1.ts'
import { badValue, badValues, forbiddenField, oneOf, required } from '#events/meta/faults.ts'
import { ipAddress, labelName, qualifiedName, subdomainName } from '#events/meta/names.ts'
import type { FieldError } from '#events/Refusal.ts'
import { validateContainer, type ContainerScope } from './validateContainer.ts'
import { validateHostProcess, validateOs } from './validateOs.ts'
import { validateScheduling } from './validateScheduling.ts'
import { validateHostUsers, validatePodSecurity } from './validateSecurityContext.ts'
import { validateVolumes } from './validateVolume.ts'

const RESTART_POLICIES = ['Always', 'OnFailure', 'Never']
const DNS_POLICIES = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None']
const NAMESERVERS_MAX = 3

const validateDns = (spec: PodSpec, path: string, errors: FieldError[]): void => {
  oneOf(spec.dnsPolicy, `${path}.dnsPolicy`, DNS_POLICIES, errors)
  const nameservers = spec.dnsConfig?.nameservers ?? []
  if (spec.dnsPolicy === 'None') {
    if (spec.dnsConfig === undefined) errors.push(required(`${path}.dnsConfig`, 'must provide `dnsConfig` when `dnsPolicy` is None'))
    else if (nameservers.length === 0)
      errors.push(required(`${path}.dnsConfig.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None'))
  }
  if (nameservers.length > NAMESERVERS_MAX)
    errors.push(badValue(`${path}.dnsConfig.nameservers`, nameservers, `must not have more than ${NAMESERVERS_MAX} nameservers`))
  nameservers.forEach((ip, index) => errors.push(...badValues(`${path}.dnsConfig.nameservers[${index}]`, ip, ipAddress(ip))))
  spec.dnsConfig?.options?.forEach((option, index) => {
    if (!option.name) errors.push(required(`${path}.dnsConfig.options[${index}]`, 'must not be empty'))
  })
}

const validateNames = (spec: PodSpec, path: string, errors: FieldError[]): void => {
  if (spec.serviceAccountName)
    errors.push(...badValues(`${path}.serviceAccountName`, spec.serviceAccountName, subdomainName(spec.serviceAccountName)))
  if (spec.nodeName) errors.push(...badValues(`${path}.nodeName`, spec.nodeName, subdomainName(spec.nodeName)))
  if (spec.hostname) errors.push(...badValues(`${path}.hostname`, spec.hostname, labelName(spec.hostname)))
  if (spec.subdomain) errors.push(...badValues(`${path}.subdomain`, spec.subdomain, labelName(spec.subdomain)))
  if (spec.schedulerName) errors.push(...badValues(`${path}.schedulerName`, spec.schedulerName, subdomainName(spec.schedulerName)))
  if (spec.priorityClassName)
    errors.push(...badValues(`${path}.priorityClassName`, spec.priorityClassName, subdomainName(spec.priorityClassName)))
  spec.hostAliases?.forEach((alias, index) => {
    errors.push(...badValues(`${path}.hostAliases[${index}].ip`, alias.ip ?? '', ipAddress(alias.ip ?? '')))
    for (const name of alias.hostnames ?? [])
      errors.push(...badValues(`${path}.hostAliases[${index}].hostnames`, name, subdomainName(name)))
  })
  spec.readinessGates?.forEach((gate, index) =>
    errors.push(
      ...badValues(`${path}.readinessGates[${index}].conditionType`, gate.conditionType ?? '', qualifiedName(gate.conditionType ?? ''))
    )
  )
}

export const validatePodSpec = (spec: PodSpec, path: string): FieldError[] => {
  const errors: FieldError[] = []
  const volumes = validateVolumes(spec.volumes, `${path}.volumes`, errors)
  const scope: ContainerScope = { volumes, hostNetwork: spec.hostNetwork === true, hostUsers: spec.hostUsers !== false, names: new Set() }
  if (!spec.containers?.length) errors.push(required(`${path}.containers`))
  const hostPorts = new Set<string>()
  const containers = spec.containers ?? []
  for (let index = 0; index < containers.length; index++)
    validateContainer(containers[index] as PodSpec['containers'][number], `${path}.containers[${index}]`, scope, hostPorts, false, errors)
  // An init container is gone before the others start, so it may use the same host port.
  spec.initContainers?.forEach((container, index) =>
    validateContainer(container, `${path}.initContainers[${index}]`, scope, new Set(), true, errors)
  )
  // They come into a running pod by a subresource of their own; a pod that has them from the start is refused, as upstream.
  if ((spec.ephemeralContainers ?? []).length > 0)
    errors.push(
      forbiddenField(
        `${path}.ephemeralContainers`,
        path === 'spec' ? 'cannot be set on create' : 'ephemeral containers not allowed in pod template'
      )
    )
  oneOf(spec.restartPolicy, `${path}.restartPolicy`, RESTART_POLICIES, errors)
  validateDns(spec, path, errors)
  validatePodSecurity(spec, `${path}.securityContext`, errors)
  validateHostProcess(spec, path, errors)
  validateHostUsers(spec, path, errors)
  validateNames(spec, path, errors)
  validateScheduling(spec, path, errors)
  if (spec.terminationGracePeriodSeconds !== undefined && spec.terminationGracePeriodSeconds < 0)
    errors.push(badValue(`${path}.terminationGracePeriodSeconds`, spec.terminationGracePeriodSeconds, 'must be greater than or equal to 0'))
  if (spec.activeDeadlineSeconds !== undefined && spec.activeDeadlineSeconds < 1)
    errors.push(badValue(`${path}.activeDeadlineSeconds`, spec.activeDeadlineSeconds, 'must be between 1 and 2147483647, inclusive'))
  validateOs(spec, path, errors)
  return errors
}
