/** A pod must not turn AppArmor off, by field or by the annotation that was there before the field. */
import { containersOf, offenders, type Check } from './Check.ts'
import { goQuoted, plural, quoted, settersOf, sortedOnce } from './words.ts'

const ANNOTATION = 'container.apparmor.security.beta.kubernetes.io/'

interface WithProfile {
  readonly securityContext?: { readonly appArmorProfile?: { readonly type?: string } }
}

const isUnconfined = ({ securityContext }: WithProfile): boolean => {
  const profile = securityContext?.appArmorProfile
  return profile !== undefined && profile.type !== 'RuntimeDefault' && profile.type !== 'Localhost'
}

export const appArmorProfile: Check = {
  id: 'appArmorProfile',
  level: 'baseline',
  versions: [
    {
      since: 0,
      check: ({ metadata, spec }) => {
        const fields = settersOf(isUnconfined(spec), offenders(spec, isUnconfined))
        const types = sortedOnce(
          [spec, ...containersOf(spec)].filter(isUnconfined).map(({ securityContext }) => securityContext?.appArmorProfile?.type ?? '')
        )
        const annotations = sortedOnce(
          Object.entries(metadata.annotations ?? {}).flatMap(([key, value]) =>
            !key.startsWith(ANNOTATION) || value === '' || value === 'runtime/default' || value.startsWith('localhost/')
              ? []
              : [`${key}=${goQuoted(value)}`]
          )
        )
        const setters = [
          ...(fields === '' ? [] : [fields]),
          ...(annotations.length === 0 ? [] : [plural('annotation', 'annotations', annotations.length)])
        ]
        if (setters.length === 0) return undefined
        const values = [...types, ...annotations]
        return {
          reason: plural('forbidden AppArmor profile', 'forbidden AppArmor profiles', values.length),
          detail: `${setters.join(' and ')} must not set AppArmor profile type to ${quoted(values)}`
        }
      }
    }
  ]
}
