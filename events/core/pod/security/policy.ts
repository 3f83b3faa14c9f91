/** The policy of a namespace: which level each mode holds its pods to, as its labels say. */
import { badValue } from '#events/meta/faults.ts'
import type { FieldError } from '#events/Refusal.ts'

/** Strictest last. */
export const LEVELS = ['privileged', 'baseline', 'restricted'] as const
export type Level = (typeof LEVELS)[number]

/** Of the standards: `latest` (whose minor is Infinity) or `v1.N`. */
export interface Version {
  readonly text: string
  readonly minor: number
}

export interface LevelVersion {
  readonly level: Level
  readonly version: Version
}

export interface Policy {
  /** Pods that violate it are refused. */
  readonly enforce: LevelVersion
  /** Requests that bring such pods are noted in the audit trail. */
  readonly audit: LevelVersion
  /** Who brings such pods is warned. */
  readonly warn: LevelVersion
}

export const MODES = ['enforce', 'audit', 'warn'] as const

export const PREFIX = 'pod-security.kubernetes.io/'
export const LATEST: Version = { text: 'latest', minor: Infinity }

const ANYTHING: LevelVersion = { level: 'privileged', version: LATEST }
export const PRIVILEGED: Policy = { enforce: ANYTHING, audit: ANYTHING, warn: ANYTHING }

/** `restricted:v1.34`, `baseline:latest` */
export const policyName = ({ level, version }: LevelVersion): string => `${level}:${version.text}`

/** Below zero when `a` is less strict. */
export const compareLevels = (a: Level, b: Level): number => LEVELS.indexOf(a) - LEVELS.indexOf(b)

export const isSame = (a: LevelVersion, b: LevelVersion): boolean => a.level === b.level && a.version.text === b.version.text

/** To whom everything is allowed, a version means nothing. */
export const isEquivalent = (a: LevelVersion, b: LevelVersion): boolean =>
  (a.level === 'privileged' && b.level === 'privileged') || isSame(a, b)

export const isFullyPrivileged = (policy: Policy): boolean => MODES.every((mode) => policy[mode].level === 'privileged')

export const BAD_LEVEL = `must be one of ${LEVELS.join(', ')}`
export const BAD_VERSION = 'must be "latest" or "v1.x"'

export const parseLevel = (text: string): Level | undefined => LEVELS.find((level) => level === text)

/** A 64-bit number, as upstream's. */
const LARGEST = 9_223_372_036_854_775_807n

export const parseVersion = (text: string): Version | undefined => {
  if (text === 'latest') return LATEST
  const digits = /^v1\.(0|[1-9][0-9]*)$/.exec(text)?.[1]
  return digits === undefined || digits.length > 19 || BigInt(digits) > LARGEST ? undefined : { text, minor: Number(digits) }
}

/**
 * The policy in force, whatever the labels hold, and what is wrong with them. A value that means nothing enforces
 * `restricted` (a typo must not open a namespace) and audits and warns of nothing (it must not drown anybody either).
 */
export const policyOf = (
  labels: Readonly<Record<string, string>> | undefined,
  defaults: Policy = PRIVILEGED
): { readonly policy: Policy; readonly faults: readonly FieldError[] } => {
  const faults: FieldError[] = []
  const read = <Value>(
    label: string,
    parse: (text: string) => Value | undefined,
    detail: string
  ): { readonly given: boolean; readonly value: Value | undefined } => {
    const text = labels?.[`${PREFIX}${label}`]
    if (text === undefined) return { given: false, value: undefined }
    const value = parse(text)
    if (value === undefined) faults.push(badValue(`metadata.labels[${PREFIX}${label}]`, text, detail))
    return { given: true, value }
  }
  const of = (mode: (typeof MODES)[number], unreadable: Level) => {
    const level = read(mode, parseLevel, BAD_LEVEL)
    const version = read(`${mode}-version`, parseVersion, BAD_VERSION)
    return {
      level,
      version,
      policy: {
        level: level.value ?? (level.given ? unreadable : defaults[mode].level),
        version: version.value ?? (version.given ? LATEST : defaults[mode].version)
      }
    }
  }
  const enforce = of('enforce', 'restricted')
  const audit = of('audit', 'privileged')
  const warn = of('warn', 'privileged')
  // Who enforces and says nothing of warnings is told about Deployments whose pods would be refused.
  const follows = !warn.level.given && enforce.level.value !== undefined && compareLevels(enforce.policy.level, warn.policy.level) > 0
  return {
    policy: {
      enforce: enforce.policy,
      audit: audit.policy,
      warn: follows
        ? { level: enforce.policy.level, version: warn.version.given ? warn.policy.version : enforce.policy.version }
        : warn.policy
    },
    faults
  }
}
