/** The faults of security contexts, a container's and its pod's: what Pod Security takes for granted when it looks at them. */
import type { Container, PodSecurityContext, PodSpec, Sysctl } from '#events/schema/generated/core.v1.ts'
import { badValue, duplicate, forbiddenField, required, tooLong, unsupported } from '#events/meta/faults.ts'
import type { FieldError } from '#events/Refusal.ts'

interface Profile {
  readonly type?: string
  readonly localhostProfile?: string
}

const PROFILES = ['Localhost', 'RuntimeDefault', 'Unconfined']
const ID_MAX = 2_147_483_647
/** The kernel's PATH_MAX, without the byte that ends it. */
const PROFILE_MAX = 4_095

const validateId = (id: number | undefined, field: string, errors: FieldError[]): void => {
  if (id !== undefined && (id < 0 || id > ID_MAX)) errors.push(badValue(field, id, `must be between 0 and ${ID_MAX}, inclusive`))
}

const validateType = ({ type }: Profile, kind: 'seccompProfile' | 'appArmorProfile', path: string, errors: FieldError[]): void => {
  if (type === undefined || type === '') errors.push(required(`${path}.type`, `type is required when ${kind} is set`))
  else if (!PROFILES.includes(type)) errors.push(unsupported(`${path}.type`, type, PROFILES))
}

const validateSeccomp = (profile: Profile | undefined, path: string, errors: FieldError[]): void => {
  if (profile === undefined) return
  const { type, localhostProfile } = profile
  const field = `${path}.localhostProfile`
  validateType(profile, 'seccompProfile', path, errors)
  if (type !== 'Localhost') {
    if (localhostProfile !== undefined) errors.push(badValue(field, localhostProfile, 'can only be set when seccomp type is Localhost'))
  } else if (localhostProfile === undefined) errors.push(required(field, 'must be set when seccomp type is Localhost'))
  else {
    if (localhostProfile.startsWith('/')) errors.push(badValue(field, localhostProfile, 'must be a relative path'))
    if (localhostProfile.split('/').includes('..')) errors.push(badValue(field, localhostProfile, "must not contain '..'"))
  }
}

const validateAppArmor = (profile: Profile | undefined, path: string, errors: FieldError[]): void => {
  if (profile === undefined) return
  const { type, localhostProfile } = profile
  const field = `${path}.localhostProfile`
  if (type !== 'Localhost') {
    validateType(profile, 'appArmorProfile', path, errors)
    if ((type === 'RuntimeDefault' || type === 'Unconfined') && localhostProfile !== undefined)
      errors.push(badValue(field, localhostProfile, 'can only be set when AppArmor type is Localhost'))
  } else if (localhostProfile === undefined || localhostProfile === '')
    errors.push(required(field, 'must be set when AppArmor type is Localhost'))
  else {
    if (localhostProfile.trim() !== localhostProfile) errors.push(badValue(field, localhostProfile, 'must not be padded with whitespace'))
    if (localhostProfile.length > PROFILE_MAX) errors.push(tooLong(field, PROFILE_MAX))
  }
}

/** @param hostUsers whether the pod has the users of its node. */
export const validateContainerSecurity = (
  { securityContext: context }: Container,
  path: string,
  hostUsers: boolean,
  errors: FieldError[]
): void => {
  if (context === undefined) return
  validateId(context.runAsUser, `${path}.runAsUser`, errors)
  validateId(context.runAsGroup, `${path}.runAsGroup`, errors)
  if (context.procMount !== undefined) {
    if (context.procMount !== 'Default' && context.procMount !== 'Unmasked')
      errors.push(unsupported(`${path}.procMount`, context.procMount, ['Default', 'Unmasked']))
    if (hostUsers && context.procMount === 'Unmasked')
      errors.push(badValue(`${path}.procMount`, context.procMount, '`hostUsers` must be false to use `Unmasked`'))
  }
  validateSeccomp(context.seccompProfile, `${path}.seccompProfile`, errors)
  if (context.allowPrivilegeEscalation === false) {
    if (context.privileged === true)
      errors.push(badValue(path, context, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true'))
    for (const name of context.capabilities?.add ?? [])
      if (name === 'CAP_SYS_ADMIN')
        errors.push(badValue(path, context, 'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN'))
  }
  validateAppArmor(context.appArmorProfile, `${path}.appArmorProfile`, errors)
}

const SYSCTL_MAX = 253
const SEGMENT = '[a-z0-9]([-_a-z0-9]*[a-z0-9])?'
const SYSCTL = `^(${SEGMENT}[\\./])*${SEGMENT}$`
const SYSCTL_PATTERN = new RegExp(SYSCTL)
const IPC = new Set([
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
  'kernel.shm',
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.msg'
])

/** `net/ipv4/conf/eno2.100/x` is `net.ipv4.conf.eno2/100.x`: the first separator says which of the two is meant. */
const dotted = (name: string): string =>
  /^[^.]*\//.test(name) ? name.replace(/[./]/g, (character) => (character === '.' ? '/' : '.')) : name

const validateSysctls = (sysctls: readonly Sysctl[], spec: PodSpec, path: string, errors: FieldError[]): void => {
  const names = new Set<string>()
  sysctls.forEach(({ name = '' }, index) => {
    const field = `${path}[${index}].name`
    if (name === '') errors.push(required(field))
    else if (name.length > SYSCTL_MAX || !SYSCTL_PATTERN.test(name))
      errors.push(badValue(field, name, `must have at most ${SYSCTL_MAX} characters and match regex ${SYSCTL}`))
    else if (names.has(name)) errors.push(duplicate(field, name))
    names.add(name)
    // It would be the node's.
    const parameter = dotted(name)
    if (spec.hostNetwork === true && parameter.startsWith('net.'))
      errors.push(badValue(field, name, "may not be specified when 'hostNetwork' is true"))
    else if (spec.hostIPC === true && (IPC.has(parameter) || parameter.startsWith('fs.mqueue.')))
      errors.push(badValue(field, name, "may not be specified when 'hostIPC' is true"))
  })
}

/** Newer than the type of it. */
interface Newer {
  readonly supplementalGroupsPolicy?: string
  readonly seLinuxChangePolicy?: string
}

const oneOf = (value: string | undefined, field: string, supported: readonly string[], errors: FieldError[]): void => {
  if (value !== undefined && !supported.includes(value)) errors.push(unsupported(field, value, supported))
}

export const validatePodSecurity = (spec: PodSpec, path: string, errors: FieldError[]): void => {
  const context = spec.securityContext as (PodSecurityContext & Newer) | undefined
  if (context === undefined) return
  validateId(context.fsGroup, `${path}.fsGroup`, errors)
  validateId(context.runAsUser, `${path}.runAsUser`, errors)
  validateId(context.runAsGroup, `${path}.runAsGroup`, errors)
  context.supplementalGroups?.forEach((group, index) => validateId(group, `${path}.supplementalGroups[${index}]`, errors))
  if (spec.shareProcessNamespace === true && spec.hostPID === true)
    errors.push(badValue(`${path}.shareProcessNamespace`, true, 'ShareProcessNamespace and HostPID cannot both be enabled'))
  validateSysctls(context.sysctls ?? [], spec, `${path}.sysctls`, errors)
  oneOf(context.fsGroupChangePolicy, `${path}.fsGroupChangePolicy`, ['Always', 'OnRootMismatch'], errors)
  validateSeccomp(context.seccompProfile, `${path}.seccompProfile`, errors)
  validateAppArmor(context.appArmorProfile, `${path}.appArmorProfile`, errors)
  oneOf(context.supplementalGroupsPolicy, `${path}.supplementalGroupsPolicy`, ['Merge', 'Strict'], errors)
  oneOf(context.seLinuxChangePolicy, `${path}.seLinuxChangePolicy`, ['Recursive'], errors)
}

/** A user namespace of its own and a namespace of the node's don't go together. */
export const validateHostUsers = (spec: PodSpec, path: string, errors: FieldError[]): void => {
  if (spec.hostUsers !== false) return
  const why = 'when `hostUsers` is false'
  if (spec.hostNetwork === true) errors.push(forbiddenField(`${path}.hostNetwork`, why))
  // Capitals are upstream's.
  if (spec.hostPID === true) errors.push(forbiddenField(`${path}.HostPID`, why))
  if (spec.hostIPC === true) errors.push(forbiddenField(`${path}.HostIPC`, why))
  for (const list of ['initContainers', 'containers'] as const)
    spec[list]?.forEach(({ volumeDevices }, index) => {
      if ((volumeDevices?.length ?? 0) > 0) errors.push(forbiddenField(`${path}.${list}[${index}].volumeDevices`, why))
    })
}
