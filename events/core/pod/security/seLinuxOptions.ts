/** A pod may choose among the SELinux types made for containers, and no SELinux user or role. */
import type { SELinuxOptions } from '#events/schema/generated/core.v1.ts'
import { containersOf, offenders, type Check, type CheckPod } from './Check.ts'
import { plural, quoted, settersOf, sortedOnce } from './words.ts'

const TYPES = ['', 'container_t', 'container_init_t', 'container_kvm_t']

const allowing = (types: ReadonlySet<string>): CheckPod => {
  const badType = (options: SELinuxOptions): boolean => !types.has(options.type ?? '')
  const bad = (options: SELinuxOptions | undefined): boolean =>
    options !== undefined && (badType(options) || !!options.user || !!options.role)
  return ({ spec }) => {
    const setters = settersOf(
      bad(spec.securityContext?.seLinuxOptions),
      offenders(spec, ({ securityContext }) => bad(securityContext?.seLinuxOptions))
    )
    if (setters === '') return undefined
    const all = [spec, ...containersOf(spec)].flatMap(({ securityContext }) => securityContext?.seLinuxOptions ?? [])
    const badTypes = sortedOnce(all.filter(badType).map(({ type }) => type as string))
    const what = [
      ...(badTypes.length === 0 ? [] : [`${plural('type', 'types', badTypes.length)} ${quoted(badTypes)}`]),
      ...(all.some(({ user }) => !!user) ? ['user may not be set'] : []),
      ...(all.some(({ role }) => !!role) ? ['role may not be set'] : [])
    ]
    return { reason: 'seLinuxOptions', detail: `${setters} set forbidden securityContext.seLinuxOptions: ${what.join('; ')}` }
  }
}

export const seLinuxOptions: Check = {
  id: 'seLinuxOptions',
  level: 'baseline',
  versions: [
    { since: 0, check: allowing(new Set(TYPES)) },
    { since: 31, check: allowing(new Set([...TYPES, 'container_engine_t'])) }
  ]
}
