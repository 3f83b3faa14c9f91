/**
 * The faults of a pod for the operating system it names. What Pod Security asks of Linux pods only is forbidden to others
 * here, so that naming another system is no way around it. What only a Windows node would read (user names, GMSA) is let be.
 */
import type { Container, PodSpec } from '#events/schema/generated/core.v1.ts'
import { badValue, forbiddenField, required, unsupported } from '#events/meta/faults.ts'
import type { FieldError } from '#events/Refusal.ts'

const SYSTEMS = ['linux', 'windows']
const LINUX_ONLY = {
  podContext: [
    'appArmorProfile',
    'seLinuxOptions',
    'seccompProfile',
    'fsGroup',
    'fsGroupChangePolicy',
    'sysctls',
    'runAsUser',
    'runAsGroup',
    'supplementalGroups',
    'supplementalGroupsPolicy',
    'seLinuxChangePolicy'
  ],
  pod: ['hostUsers', 'hostPID', 'hostIPC', 'shareProcessNamespace'],
  container: [
    'appArmorProfile',
    'seLinuxOptions',
    'seccompProfile',
    'capabilities',
    'readOnlyRootFilesystem',
    'privileged',
    'allowPrivilegeEscalation',
    'procMount',
    'runAsUser',
    'runAsGroup'
  ]
} as const
/** Set to this they are as good as not set. */
const EMPTY: Readonly<Record<string, (value: unknown) => boolean>> = {
  hostPID: (value) => value === false,
  hostIPC: (value) => value === false,
  sysctls: (value) => Array.isArray(value) && value.length === 0
}

const LISTS = ['initContainers', 'containers', 'ephemeralContainers'] as const

const visit = (spec: PodSpec, path: string, look: (container: Container, path: string) => void): void => {
  for (const list of LISTS)
    (spec[list] as readonly Container[] | undefined)?.forEach((container, index) => look(container, `${path}.${list}[${index}]`))
}

const forbid = (object: unknown, fields: readonly string[], path: string, why: string, errors: FieldError[]): void => {
  const given = (object ?? {}) as Record<string, unknown>
  for (const field of fields)
    if (given[field] !== undefined && EMPTY[field]?.(given[field]) !== true) errors.push(forbiddenField(`${path}.${field}`, why))
}

export const validateOs = (spec: PodSpec, path: string, errors: FieldError[]): void => {
  if (spec.os === undefined) return
  const { name } = spec.os
  if (!name) errors.push(required(`${path}.os.name`))
  else if (!SYSTEMS.includes(name)) errors.push(unsupported(`${path}.os`, name, SYSTEMS))
  else if (name === 'linux') {
    const why = 'windows options cannot be set for a linux pod'
    forbid(spec.securityContext, ['windowsOptions'], `${path}.securityContext`, why, errors)
    visit(spec, path, ({ securityContext }, at) => forbid(securityContext, ['windowsOptions'], `${at}.securityContext`, why, errors))
  } else {
    const why = 'cannot be set for a windows pod'
    forbid(spec.securityContext, LINUX_ONLY.podContext, `${path}.securityContext`, why, errors)
    forbid(spec, LINUX_ONLY.pod, path, why, errors)
    visit(spec, path, ({ securityContext }, at) => forbid(securityContext, LINUX_ONLY.container, `${at}.securityContext`, why, errors))
  }
}

/** HostProcess containers: all of a pod's or none, and with the node's network. */
export const validateHostProcess = (spec: PodSpec, path: string, errors: FieldError[]): void => {
  const pod = spec.securityContext?.windowsOptions?.hostProcess
  let [all, hostProcesses] = [0, 0]
  visit(spec, path, ({ securityContext }, at) => {
    const own = securityContext?.windowsOptions?.hostProcess
    if (pod !== undefined && own !== undefined && pod !== own)
      errors.push(
        badValue(
          `${at}.securityContext.windowsOptions.hostProcess`,
          own,
          `pod hostProcess value must be identical if both are specified, was ${pod}`
        )
      )
    all++
    if (own ?? pod) hostProcesses++
  })
  if (hostProcesses === 0) return
  if (hostProcesses !== all)
    errors.push(badValue(path, '', 'If pod contains any hostProcess containers then all containers must be HostProcess containers'))
  if (spec.hostNetwork !== true)
    errors.push(badValue(`${path}.hostNetwork`, false, 'hostNetwork must be true if pod contains any hostProcess containers'))
}
