/** The faults of a Service's spec. */
import type { ServicePort, ServiceSpec } from '#events/schema/generated/core.v1.ts'
import { badValue, badValues, duplicate, forbiddenField, oneOf, required, unsupported } from '#events/meta/faults.ts'
import { validateLabels } from '#events/meta/LabelSelector.ts'
import { ipAddress, labelName, portName, portNumber, subdomainName } from '#events/meta/names.ts'
import type { FieldError } from '#events/Refusal.ts'
import { PROTOCOLS } from './protocols.ts'

const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort']
const AFFINITIES = ['ClientIP', 'None']

const validatePort = (port: ServicePort, path: string, needsName: boolean, names: Set<string>, errors: FieldError[]): void => {
  if (!port.name) {
    if (needsName) errors.push(required(`${path}.name`))
  } else {
    for (const message of labelName(port.name)) errors.push(badValue(`${path}.name`, port.name, message))
    if (names.has(port.name)) errors.push(duplicate(`${path}.name`, port.name))
    names.add(port.name)
  }
  for (const message of portNumber(port.port ?? 0)) errors.push(badValue(`${path}.port`, port.port ?? 0, message))
  oneOf(port.protocol, `${path}.protocol`, PROTOCOLS, errors)
  const target = port.targetPort
  if (target !== undefined)
    errors.push(...badValues(`${path}.targetPort`, target, typeof target === 'number' ? portNumber(target) : portName(target)))
}

export const validateService = (spec: ServiceSpec): FieldError[] => {
  const errors: FieldError[] = []
  const headless = spec.clusterIP === 'None' || spec.clusterIPs?.[0] === 'None'
  const ports = spec.ports ?? []
  if (ports.length === 0 && !headless && spec.type !== 'ExternalName') errors.push(required('spec.ports'))
  switch (spec.type) {
    case 'LoadBalancer':
    case 'NodePort':
      if (headless) errors.push(badValue('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${spec.type} services`))
      break
    case 'ExternalName':
      if (spec.clusterIP || spec.clusterIPs?.length)
        errors.push(forbiddenField('spec.clusterIPs', 'may not be set when `type` is "ExternalName"'))
      if (!spec.externalName) errors.push(required('spec.externalName'))
      else
        errors.push(...badValues('spec.externalName', spec.externalName, subdomainName(spec.externalName.toLowerCase().replace(/\.$/, ''))))
  }
  const names = new Set<string>()
  const pairs = new Set<string>()
  const nodePorts = new Set<string>()
  ports.forEach((port, index) => {
    const path = `spec.ports[${index}]`
    validatePort(port, path, ports.length > 1, names, errors)
    const pair = `${port.protocol}/${port.port}`
    if (pairs.has(pair)) errors.push(duplicate(path, { protocol: port.protocol, port: port.port }))
    pairs.add(pair)
    if (!port.nodePort) return
    if (spec.type === 'ClusterIP' || spec.type === undefined)
      errors.push(forbiddenField(`${path}.nodePort`, "may not be used when `type` is 'ClusterIP'"))
    const taken = `${port.protocol}/${port.nodePort}`
    if (nodePorts.has(taken)) errors.push(duplicate(`${path}.nodePort`, port.nodePort))
    nodePorts.add(taken)
  })
  validateLabels(spec.selector, 'spec.selector', errors)
  oneOf(spec.sessionAffinity, 'spec.sessionAffinity', AFFINITIES, errors)
  const timeout = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds
  if (spec.sessionAffinity === 'ClientIP' && timeout !== undefined && (timeout <= 0 || timeout > 86400))
    errors.push(badValue('spec.sessionAffinityConfig.clientIP.timeoutSeconds', timeout, 'must be greater than 0 and less than 86400'))
  oneOf(spec.type, 'spec.type', TYPES, errors)
  if (spec.clusterIP && spec.clusterIPs?.[0] !== undefined && spec.clusterIP !== spec.clusterIPs[0])
    errors.push(badValue('spec.clusterIPs', spec.clusterIPs, 'first value must match `clusterIP`'))
  else if (!spec.clusterIP && spec.clusterIPs?.length)
    errors.push(badValue('spec.clusterIPs', spec.clusterIPs, 'must be empty when `clusterIP` is not specified'))
  spec.clusterIPs?.forEach((ip, index) => {
    if (ip === 'None' && index === 0) return
    errors.push(...badValues(`spec.clusterIPs[${index}]`, ip, ipAddress(ip)))
  })
  spec.externalIPs?.forEach((ip, index) => errors.push(...badValues(`spec.externalIPs[${index}]`, ip, ipAddress(ip))))
  const external = spec.externalTrafficPolicy
  if (external && !['Cluster', 'Local'].includes(external))
    errors.push(unsupported('spec.externalTrafficPolicy', external, ['Cluster', 'Local']))
  if (external && !(spec.type === 'NodePort' || spec.type === 'LoadBalancer' || spec.externalIPs?.length))
    errors.push(badValue('spec.externalTrafficPolicy', external, 'may only be set for externally-accessible services'))
  const internal = spec.internalTrafficPolicy
  if (internal && !['Cluster', 'Local'].includes(internal))
    errors.push(unsupported('spec.internalTrafficPolicy', internal, ['Cluster', 'Local']))
  return errors
}

export const validateServiceUpdate = (spec: ServiceSpec, old: ServiceSpec): FieldError[] => {
  if (spec.type === 'ExternalName' || old.type === 'ExternalName') return []
  const [now, before] = [spec.clusterIPs?.[0] ?? spec.clusterIP ?? '', old.clusterIPs?.[0] ?? old.clusterIP ?? '']
  return before !== '' && now !== before ? [badValue('spec.clusterIPs[0]', spec.clusterIPs ?? [now], 'may not change once set')] : []
}
