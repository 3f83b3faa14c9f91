/** A pod must not turn seccomp off. Until 1.19 annotations said so, since then fields do. */
import { containersOf, offenders, type Check, type CheckPod } from './Check.ts'
import { goQuoted, plural, quoted, settersOf, sortedOnce } from './words.ts'

const POD = 'seccomp.security.alpha.kubernetes.io/pod'
const CONTAINER = 'container.seccomp.security.alpha.kubernetes.io/'

const annotations: CheckPod = ({ metadata, spec }) => {
  const bad = sortedOnce(
    [POD, ...containersOf(spec).map(({ name }) => `${CONTAINER}${name}`)].flatMap((key) => {
      const value = metadata.annotations?.[key]
      return value === undefined || value === 'runtime/default' || value === 'docker/default' || value.startsWith('localhost/')
        ? []
        : [`${key}=${goQuoted(value)}`]
    })
  )
  return bad.length === 0
    ? undefined
    : { reason: 'seccompProfile', detail: `forbidden ${plural('annotation', 'annotations', bad.length)} ${bad.join(', ')}` }
}

export interface WithProfile {
  readonly securityContext?: { readonly seccompProfile?: { readonly type?: string } }
}

/** A profile that is given, and confines nothing or is none. */
export const isUnconfined = ({ securityContext }: WithProfile): boolean => {
  const profile = securityContext?.seccompProfile
  return profile !== undefined && profile.type !== 'RuntimeDefault' && profile.type !== 'Localhost'
}

export const seccompFields: CheckPod = ({ spec }) => {
  const setters = settersOf(isUnconfined(spec), offenders(spec, isUnconfined))
  if (setters === '') return undefined
  const types = sortedOnce(
    [spec, ...containersOf(spec)].filter(isUnconfined).map(({ securityContext }) => securityContext?.seccompProfile?.type ?? '')
  )
  return { reason: 'seccompProfile', detail: `${setters} must not set securityContext.seccompProfile.type to ${quoted(types)}` }
}

export const seccompProfileBaseline: Check = {
  id: 'seccompProfile_baseline',
  level: 'baseline',
  versions: [
    { since: 0, check: annotations },
    { since: 19, check: seccompFields }
  ]
}
