/** All checks of the Pod Security Standards, and what a pod violates at a level and version. */
import { allowPrivilegeEscalation } from './allowPrivilegeEscalation.ts'
import { appArmorProfile } from './appArmorProfile.ts'
import { capabilitiesBaseline } from './capabilitiesBaseline.ts'
import { capabilitiesRestricted } from './capabilitiesRestricted.ts'
import type { Check, CheckPod, CheckVersion, Subject, Violation } from './Check.ts'
import { hostNamespaces } from './hostNamespaces.ts'
import { hostPathVolumes } from './hostPathVolumes.ts'
import { hostPorts } from './hostPorts.ts'
import { hostProbesAndHostLifecycle } from './hostProbesAndHostLifecycle.ts'
import type { Level, LevelVersion } from './policy.ts'
import { privileged } from './privileged.ts'
import { procMountBaseline, procMountRestricted } from './procMount.ts'
import { restrictedVolumes } from './restrictedVolumes.ts'
import { runAsNonRoot } from './runAsNonRoot.ts'
import { runAsUser } from './runAsUser.ts'
import { seccompProfileBaseline } from './seccompProfileBaseline.ts'
import { seccompProfileRestricted } from './seccompProfileRestricted.ts'
import { seLinuxOptions } from './seLinuxOptions.ts'
import { sysctls } from './sysctls.ts'
import { windowsHostProcess } from './windowsHostProcess.ts'
import { byCodePoint } from './words.ts'

/** Baseline ones first, each level by id: the order messages are in. */
export const CHECKS: readonly Check[] = [
  appArmorProfile,
  capabilitiesBaseline,
  hostNamespaces,
  hostPathVolumes,
  hostPorts,
  hostProbesAndHostLifecycle,
  privileged,
  procMountBaseline,
  seLinuxOptions,
  seccompProfileBaseline,
  sysctls,
  windowsHostProcess,
  allowPrivilegeEscalation,
  capabilitiesRestricted,
  procMountRestricted,
  restrictedVolumes,
  runAsNonRoot,
  runAsUser,
  seccompProfileRestricted
].sort((a, b) => byCodePoint(a.level, b.level) || byCodePoint(a.id, b.id))

/** Later versions say what this one says. */
const NEWEST = Math.max(...CHECKS.flatMap(({ versions }) => versions.map(({ since }) => since)))

const at = ({ versions }: Check, minor: number): CheckVersion | undefined => versions.findLast(({ since }) => since <= minor)

const select = (level: Level, minor: number): readonly CheckPod[] => {
  const inForce = CHECKS.flatMap((check) => {
    const version = check.level === 'baseline' || level === 'restricted' ? at(check, minor) : undefined
    return version === undefined ? [] : [{ id: check.id, version }]
  })
  const overridden = new Set(inForce.flatMap(({ version }) => version.overrides ?? []))
  return inForce.filter(({ id }) => !overridden.has(id)).map(({ version }) => version.check)
}

const selected = new Map<string, readonly CheckPod[]>()

const checksAt = (level: Level, minor: number): readonly CheckPod[] => {
  const known = Math.min(minor, NEWEST)
  const key = `${level}:${known}`
  let checks = selected.get(key)
  if (checks === undefined) selected.set(key, (checks = select(level, known)))
  return checks
}

/** In the order of the checks' ids; none when the pod is allowed. */
export const violationsOf = ({ level, version }: LevelVersion, subject: Subject): Violation[] => {
  if (level === 'privileged') return []
  const found: Violation[] = []
  for (const check of checksAt(level, version.minor)) {
    const violation = check(subject)
    if (violation !== undefined) found.push(violation)
  }
  return found
}

/** `host namespaces (hostNetwork=true), hostPort (container "a" uses hostPort 80)` */
export const detailsOf = (violations: readonly Violation[]): string =>
  violations.map(({ reason, detail }) => (detail === '' ? reason : `${reason} (${detail})`)).join(', ')

/** `host namespaces, hostPort` */
export const reasonsOf = (violations: readonly Violation[]): string => violations.map(({ reason }) => reason).join(', ')
