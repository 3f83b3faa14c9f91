/** The faults of one container: its image, ports, environment, mounts and resources. */
import type { Container, ContainerPort, EnvVar, ResourceRequirements } from '#events/schema/generated/core.v1.ts'
import { badValue, badValues, duplicate, forbiddenField, missing, oneOf, required, unsupported } from '#events/meta/faults.ts'
import { configKey, envName, labelName, portName, PORT_RANGE, qualifiedName } from '#events/meta/names.ts'
import { compareQuantities, parseQuantity } from '#events/meta/Quantity.ts'
import type { FieldError } from '#events/Refusal.ts'
import { PROTOCOLS } from '#events/core/protocols.ts'
import { validateLifecycle, validateProbe } from './validateProbe.ts'
import { validateContainerSecurity } from './validateSecurityContext.ts'

const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never']
const TERMINATION_POLICIES = ['File', 'FallbackToLogsOnError']
const STANDARD_RESOURCES = new Set(['cpu', 'memory', 'ephemeral-storage'])
const FIELD_PATHS = new Set([
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs'
])

const validatePorts = (
  ports: readonly ContainerPort[],
  path: string,
  hostNetwork: boolean,
  hostPorts: Set<string>,
  errors: FieldError[]
): void => {
  const names = new Set<string>()
  ports.forEach((port, index) => {
    const at = `${path}[${index}]`
    if (port.name) {
      const messages = portName(port.name)
      for (const message of messages) errors.push(badValue(`${at}.name`, port.name, message))
      if (messages.length === 0 && names.has(port.name)) errors.push(duplicate(`${at}.name`, port.name))
      names.add(port.name)
    }
    if (!port.containerPort) errors.push(required(`${at}.containerPort`))
    else if (port.containerPort < 0 || port.containerPort > 65535)
      errors.push(badValue(`${at}.containerPort`, port.containerPort, PORT_RANGE))
    oneOf(port.protocol, `${at}.protocol`, PROTOCOLS, errors)
    if (!port.hostPort) return
    if (port.hostPort < 0 || port.hostPort > 65535) errors.push(badValue(`${at}.hostPort`, port.hostPort, PORT_RANGE))
    if (hostNetwork && port.hostPort !== port.containerPort)
      errors.push(badValue(`${at}.containerPort`, port.containerPort, 'must match `hostPort` when `hostNetwork` is true'))
    const id = `${port.protocol}/${port.hostIP ?? ''}/${port.hostPort}`
    if (hostPorts.has(id)) errors.push(duplicate(`${at}.hostPort`, id))
    hostPorts.add(id)
  })
}

/** `metadata.labels['app']` and `metadata.annotations['x']` take a key; the rest is a fixed list. */
export const validateFieldPath = (fieldPath: string | undefined, field: string, errors: FieldError[]): void => {
  if (!fieldPath) errors.push(required(field))
  else if (!FIELD_PATHS.has(fieldPath) && !/^metadata\.(labels|annotations)\['[^']+'\]$/.test(fieldPath))
    errors.push(badValue(field, fieldPath, `error converting fieldPath: field label not supported: ${fieldPath}`))
}

const validateKeyRef = (ref: { name?: string; key?: string }, path: string, errors: FieldError[]): void => {
  if (!ref.name) errors.push(required(`${path}.name`))
  if (!ref.key) errors.push(required(`${path}.key`))
  else errors.push(...badValues(`${path}.key`, ref.key, configKey(ref.key)))
}

const validateValueFrom = (env: EnvVar, path: string, errors: FieldError[]): void => {
  const from = env.valueFrom
  if (from === undefined || from === null) return
  let sources = 0
  if (from.fieldRef !== undefined) {
    sources++
    validateFieldPath(from.fieldRef.fieldPath, `${path}.fieldRef.fieldPath`, errors)
  }
  if (from.resourceFieldRef !== undefined) {
    sources++
    if (!from.resourceFieldRef.resource) errors.push(required(`${path}.resourceFieldRef.resource`))
  }
  if (from.configMapKeyRef !== undefined) {
    sources++
    validateKeyRef(from.configMapKeyRef, `${path}.configMapKeyRef`, errors)
  }
  if (from.secretKeyRef !== undefined) {
    sources++
    validateKeyRef(from.secretKeyRef, `${path}.secretKeyRef`, errors)
  }
  if (sources === 0)
    errors.push(badValue(path, '', 'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`'))
  else if (env.value) errors.push(badValue(path, '', 'may not be specified when `value` is not empty'))
  else if (sources > 1) errors.push(badValue(path, '', 'may not have more than one field specified at a time'))
}

const validateEnv = (container: Container, path: string, errors: FieldError[]): void => {
  container.env?.forEach((env, index) => {
    if (!env.name) errors.push(required(`${path}.env[${index}].name`))
    else for (const message of envName(env.name)) errors.push(badValue(`${path}.env[${index}].name`, env.name, message))
    validateValueFrom(env, `${path}.env[${index}].valueFrom`, errors)
  })
  container.envFrom?.forEach((source, index) => {
    const at = `${path}.envFrom[${index}]`
    if (source.prefix) errors.push(...badValues(`${at}.prefix`, source.prefix, envName(source.prefix)))
    const refs = (['configMapRef', 'secretRef'] as const).filter((name) => source[name] !== undefined)
    if (refs.length === 0) errors.push(badValue(at, '', 'must specify one of: `configMapRef` or `secretRef`'))
    else if (refs.length > 1) errors.push(badValue(at, '', 'may not have more than one field specified at a time'))
    for (const ref of refs) if (!source[ref]?.name) errors.push(required(`${at}.${ref}.name`))
  })
}

/** A path inside a volume: relative, and not leading out of it. */
export const validateSubPath = (value: string, field: string, errors: FieldError[]): void => {
  if (value.startsWith('/')) errors.push(badValue(field, value, 'must be a relative path'))
  if (value.split('/').includes('..')) errors.push(badValue(field, value, "must not contain '..'"))
}

const validateMounts = (container: Container, path: string, volumes: ReadonlySet<string>, errors: FieldError[]): void => {
  const taken = new Set<string>()
  container.volumeMounts?.forEach((mount, index) => {
    const at = `${path}.volumeMounts[${index}]`
    if (!mount.name) errors.push(required(`${at}.name`))
    else if (!volumes.has(mount.name)) errors.push(missing(`${at}.name`, mount.name))
    if (!mount.mountPath) errors.push(required(`${at}.mountPath`))
    else if (taken.has(mount.mountPath)) errors.push(badValue(`${at}.mountPath`, mount.mountPath, 'must be unique'))
    taken.add(mount.mountPath)
    if (mount.subPath && mount.subPathExpr)
      errors.push(badValue(`${at}.subPathExpr`, mount.subPathExpr, 'subPathExpr and subPath are mutually exclusive'))
    if (mount.subPath) validateSubPath(mount.subPath, `${at}.subPath`, errors)
    if (mount.subPathExpr) validateSubPath(mount.subPathExpr, `${at}.subPathExpr`, errors)
    if (mount.mountPropagation && !['None', 'HostToContainer', 'Bidirectional'].includes(mount.mountPropagation))
      errors.push(unsupported(`${at}.mountPropagation`, mount.mountPropagation, ['None', 'HostToContainer', 'Bidirectional']))
  })
}

const validateAmount = (name: string, amount: string, field: string, errors: FieldError[]): void => {
  const messages = qualifiedName(name)
  for (const message of messages) errors.push(badValue(field, name, message))
  if (messages.length === 0 && !name.includes('/') && !STANDARD_RESOURCES.has(name) && !name.startsWith('hugepages-')) {
    errors.push(badValue(field, name, 'must be a standard resource type or fully qualified'))
    errors.push(badValue(field, name, 'must be a standard resource for containers'))
  }
  const quantity = parseQuantity(amount)
  if (quantity !== undefined && quantity.nano < 0n) errors.push(badValue(field, amount, 'must be greater than or equal to 0'))
}

const validateResources = (resources: ResourceRequirements | undefined, path: string, errors: FieldError[]): void => {
  if (resources === undefined) return
  const { limits, requests } = resources
  for (const name in limits) validateAmount(name, limits[name] as string, `${path}.limits[${name}]`, errors)
  for (const name in requests) {
    validateAmount(name, requests[name] as string, `${path}.requests[${name}]`, errors)
    const limit = limits?.[name]
    if (limit === undefined) continue
    const order = compareQuantities(requests[name], limit)
    // Whole devices can't be overcommitted.
    const whole = name.includes('/') && !name.includes('kubernetes.io/')
    if (whole ? order !== 0 : order > 0)
      errors.push(
        badValue(`${path}.requests`, requests[name], `must be ${whole ? 'equal to' : 'less than or equal to'} ${name} limit of ${limit}`)
      )
  }
}

export interface ContainerScope {
  readonly volumes: ReadonlySet<string>
  readonly hostNetwork: boolean
  readonly hostUsers: boolean
  /** Names of containers seen so far: unique in the whole pod. */
  readonly names: Set<string>
}

const validateInit = (container: Container, path: string, errors: FieldError[]): void => {
  const restartPolicy = (container as { restartPolicy?: string }).restartPolicy
  if (restartPolicy !== undefined && restartPolicy !== 'Always')
    errors.push(unsupported(`${path}.restartPolicy`, restartPolicy, ['Always']))
  if (restartPolicy === 'Always') return
  for (const field of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const)
    if (container[field] !== undefined)
      errors.push(forbiddenField(`${path}.${field}`, 'may not be set for init containers without restartPolicy=Always'))
}

export const validateContainer = (
  container: Container,
  path: string,
  scope: ContainerScope,
  hostPorts: Set<string>,
  init: boolean,
  errors: FieldError[]
): void => {
  if (!container.name) errors.push(required(`${path}.name`))
  else {
    for (const message of labelName(container.name)) errors.push(badValue(`${path}.name`, container.name, message))
    if (scope.names.has(container.name)) errors.push(duplicate(`${path}.name`, container.name))
    scope.names.add(container.name)
  }
  if (!container.image) errors.push(required(`${path}.image`))
  else if (container.image !== container.image.trim())
    errors.push(badValue(`${path}.image`, container.image, 'must not have leading or trailing whitespace'))
  oneOf(container.terminationMessagePolicy, `${path}.terminationMessagePolicy`, TERMINATION_POLICIES, errors)
  oneOf(container.imagePullPolicy, `${path}.imagePullPolicy`, PULL_POLICIES, errors)
  if (container.ports?.length) validatePorts(container.ports, `${path}.ports`, scope.hostNetwork, hostPorts, errors)
  validateEnv(container, path, errors)
  validateMounts(container, path, scope.volumes, errors)
  validateResources(container.resources, `${path}.resources`, errors)
  validateContainerSecurity(container, `${path}.securityContext`, scope.hostUsers, errors)
  validateLifecycle(container.lifecycle, `${path}.lifecycle`, errors)
  if (init) validateInit(container, path, errors)
  validateProbe(container.livenessProbe, `${path}.livenessProbe`, 1, errors)
  validateProbe(container.readinessProbe, `${path}.readinessProbe`, undefined, errors)
  validateProbe(container.startupProbe, `${path}.startupProbe`, 1, errors)
}
