/**
 * Pod Security admission: what a namespace's `pod-security.kubernetes.io/` labels say about the pods in it.
 *
 * It looks at a write when everything else has been decided, as upstream's validating admission does: pods are refused,
 * warned of and noted; workloads are only warned of and noted, since their pods are refused when they come; a namespace
 * whose policy becomes stricter is told which of its pods would no longer be allowed.
 */
import { NAMESPACES, PODS } from '#events/collections.ts'
import { evaluateNamespace } from '#events/core/pod/security/evaluateNamespace.ts'
import { detailsOf, violationsOf } from '#events/core/pod/security/evaluate.ts'
import type { Subject, Violation } from '#events/core/pod/security/Check.ts'
import { isSignificantUpdate } from '#events/core/pod/security/isSignificantUpdate.ts'
import {
  compareLevels,
  isEquivalent,
  isFullyPrivileged,
  isSame,
  MODES,
  policyName,
  policyOf,
  PREFIX,
  type LevelVersion,
  type Policy
} from '#events/core/pod/security/policy.ts'
import { NO_EXEMPTIONS, type PodSecurity as Configuration } from '#events/core/pod/security/configuration.ts'
import { subjectOf, TEMPLATES } from '#events/core/pod/security/templates.ts'
import type { Intent } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import { resourceId } from '#events/Key.ts'
import { asOneOf, type KubeObject } from '#events/KubeObject.ts'
import { fieldErrorBody, forbidden, invalid, notFound, type FieldError, type Refusal } from '#events/Refusal.ts'
import { same } from '#events/meta/faults.ts'
import { NOTHING, type AdmissionPlugin, type Admitted, type DecideContext } from '#services/apiserver/decision.ts'

/** A write that has been decided: the object as it is to be stored, and as it was before. */
interface Decision {
  readonly kind: Kind
  readonly intent: Intent
  readonly object: KubeObject
  readonly old: KubeObject | undefined
}

/** They change no pod's spec. Others do, and are looked at. */
const IGNORED = new Set(['attach', 'binding', 'eviction', 'exec', 'log', 'portforward', 'proxy', 'status'])

const noting = (key: string, value: string): Admitted => ({ warnings: [], audit: { [`${PREFIX}${key}`]: value } })
const PRIVILEGED_NOTED = noting('enforce-policy', 'privileged:latest')
const EXEMPT = { user: noting('exempt', 'user'), namespace: noting('exempt', 'namespace'), runtimeClass: noting('exempt', 'runtimeClass') }

export const podSecurity = (write: Decision, context: DecideContext): Admitted => {
  const id = resourceId(write.kind)
  if (id === '/namespaces') return namespace(write, context)
  return TEMPLATES.has(id) ? pods(write, context, id === '/pods') : NOTHING
}

export const PodSecurity: AdmissionPlugin = {
  name: 'PodSecurity',
  handles: (operation, kind) => operation !== 'DELETE' && (resourceId(kind) === '/namespaces' || TEMPLATES.has(resourceId(kind))),
  validate: ({ kind, intent, object, old }, { context }) =>
    object === undefined ? NOTHING : podSecurity({ kind, intent, object, old }, context)
}

const configurationOf = ({ settings }: DecideContext): Configuration => settings.podSecurity ?? NO_EXEMPTIONS

const pods = (write: Decision, context: DecideContext, isPod: boolean): Admitted => {
  const { kind, intent, object, old } = write
  const subresource = intent.subresource ?? ''
  if (isPod ? IGNORED.has(subresource) : subresource !== '') return NOTHING
  const { defaults, exemptions } = configurationOf(context)
  if (exemptions.namespaces.includes(intent.namespace)) return EXEMPT.namespace
  if (exemptions.usernames.includes(context.user.username)) return EXEMPT.user
  const space = context.view.get({ ...NAMESPACES, namespace: '', name: intent.namespace })
  if (space === undefined) {
    if (!isPod) return NOTHING
    // Without its namespace nothing says what a pod may do.
    throw notFound(NAMESPACES, intent.namespace)
  }
  const { policy, faults } = policyOf(space.object.metadata.labels, defaults)
  if (faults.length === 0 && isPod && isFullyPrivileged(policy)) return PRIVILEGED_NOTED
  if (faults.length === 0 && !isPod && policy.warn.level === 'privileged' && policy.audit.level === 'privileged') return NOTHING
  if (isPod && old !== undefined && !isSignificantUpdate(asOneOf(PODS, object).spec, asOneOf(PODS, old).spec)) return NOTHING
  const subject = subjectOf(kind, object)
  if (subject === undefined) return NOTHING
  if (exemptions.runtimeClasses.includes(subject.spec.runtimeClassName ?? '')) return EXEMPT.runtimeClass
  return judge(write, subject, policy, faults, isPod)
}

const judge = (
  { kind, object }: Decision,
  subject: Subject,
  policy: Policy,
  faults: readonly FieldError[],
  enforced: boolean
): Admitted => {
  const audit: Record<string, string> = {}
  const known: (readonly [LevelVersion, readonly Violation[]])[] = []
  /** Modes often say the same; a pod is looked at once for each thing said. */
  const of = (wanted: LevelVersion): readonly Violation[] => {
    const before = known.find(([one]) => isSame(one, wanted))
    if (before !== undefined) return before[1]
    const violations = violationsOf(wanted, subject)
    known.push([wanted, violations])
    return violations
  }
  if (faults.length > 0) audit[`${PREFIX}error`] = `Failed to parse policy: ${aggregate(faults)}`
  if (enforced) audit[`${PREFIX}enforce-policy`] = policyName(policy.enforce)
  const would = (one: LevelVersion): string => `would violate PodSecurity "${policyName(one)}": ${detailsOf(of(one))}`
  if (of(policy.audit).length > 0) audit[`${PREFIX}audit-violations`] = would(policy.audit)
  if (enforced && of(policy.enforce).length > 0) {
    const why = `violates PodSecurity "${policyName(policy.enforce)}": ${detailsOf(of(policy.enforce))}`
    return { refusal: forbidden(kind, object.metadata.name ?? '', why), warnings: [], audit }
  }
  return { warnings: of(policy.warn).length > 0 ? [would(policy.warn)] : [], audit }
}

/** As upstream joins errors: one stands alone, several in brackets. */
const aggregate = (faults: readonly FieldError[]): string => {
  const lines = faults.map((fault) => `${fault.field}: ${fieldErrorBody(fault)}`)
  return lines.length === 1 ? (lines[0] as string) : `[${lines.join(', ')}]`
}

const namespace = ({ kind, intent, object, old }: Decision, context: DecideContext): Admitted => {
  if ((intent.subresource ?? '') !== '') return NOTHING
  const { defaults, exemptions } = configurationOf(context)
  const name = object.metadata.name ?? ''
  const { policy, faults } = policyOf(object.metadata.labels, defaults)
  const before = old === undefined ? undefined : policyOf(old.metadata.labels, defaults)
  // Labels that were wrong before may stay, so that everything else about the namespace can still be changed.
  if (faults.length > 0 && (before === undefined || before.faults.length === 0 || !same(faults, before.faults)))
    return { ...NOTHING, refusal: invalid(kind.group, kind.kind, name, faults) }
  if (before !== undefined) {
    const { enforce } = before.policy
    if (isSame(policy.enforce, enforce) || policy.enforce.level === 'privileged') return NOTHING
    if (policy.enforce.version.text === enforce.version.text && compareLevels(policy.enforce.level, enforce.level) <= 0) return NOTHING
  }
  if (exemptions.namespaces.includes(name)) return { ...NOTHING, warnings: exemptWarning(name, object, policy, defaults) }
  if (before === undefined) return NOTHING
  const existing = context.view
    .collection(PODS)
    .list(name)
    .map((entry) => entry.object)
  return { ...NOTHING, warnings: evaluateNamespace(name, policy.enforce, existing, exemptions.runtimeClasses) }
}

/** For who sets a policy where none is looked at. */
const exemptWarning = (name: string, { metadata: { labels = {} } }: KubeObject, policy: Policy, defaults: Policy): string[] => {
  if (isFullyPrivileged(policy) || MODES.every((mode) => isEquivalent(policy[mode], defaults[mode]))) return []
  const set = MODES.filter(
    (mode) =>
      policy[mode].level !== 'privileged' && (labels[`${PREFIX}${mode}`] !== undefined || labels[`${PREFIX}${mode}-version`] !== undefined)
  )
  const ignored = set.map((mode) => `${mode}=${policyName(policy[mode])}`).join(', ')
  return [`namespace "${name}" is exempt from Pod Security, and the policy (${ignored}) will be ignored`]
}
