/** AppArmor profiles by annotation, as they were chosen before the field was there (KEP-24). */
import type { Pod, PodSpec } from '#events/schema/generated/core.v1.ts'
import { badValue, forbiddenField, same } from '#events/meta/faults.ts'
import type { FieldError } from '#events/Refusal.ts'
import { containersOf } from './security/Check.ts'
import { goQuoted } from './security/words.ts'

const PREFIX = 'container.apparmor.security.beta.kubernetes.io/'

type Profile = NonNullable<NonNullable<PodSpec['securityContext']>['appArmorProfile']>

/** The field an annotation stands for; undefined when it stands for none. */
const fieldOf = (value: string): Profile | undefined => {
  if (value === 'unconfined') return { type: 'Unconfined' }
  if (value === 'runtime/default') return { type: 'RuntimeDefault' }
  const name = value.startsWith('localhost/') ? value.slice('localhost/'.length) : ''
  return name === '' || name.trim() !== name ? undefined : { type: 'Localhost', localhostProfile: name }
}

/** Sets the field of containers that have only the annotation, in place: everything after this looks at fields. */
export const appArmorFields = (pod: Pod): void => {
  const spec = pod.spec ?? {}
  if (spec.os?.name === 'windows') return
  for (const container of containersOf(spec)) {
    const value = pod.metadata.annotations?.[`${PREFIX}${container.name}`]
    const profile = value === undefined || container.securityContext?.appArmorProfile !== undefined ? undefined : fieldOf(value)
    if (profile !== undefined && !same(profile, spec.securityContext?.appArmorProfile))
      container.securityContext = { ...container.securityContext, appArmorProfile: profile }
  }
}

const annotationsOf = (pod: Pod): [string, string][] =>
  Object.entries(pod.metadata.annotations ?? {}).filter(([key]) => key.startsWith(PREFIX))

export const validateAppArmorAnnotations = (pod: Pod): FieldError[] => {
  const names = new Set(containersOf(pod.spec ?? {}).map(({ name }) => name))
  return annotationsOf(pod).flatMap(([key, value]) => {
    const field = `metadata.annotations[${key}]`
    const name = key.slice(PREFIX.length)
    return [
      ...(names.has(name) ? [] : [badValue(field, name, 'container not found')]),
      ...(value === '' || value === 'runtime/default' || value === 'unconfined' || value.startsWith('localhost/')
        ? []
        : [badValue(field, value, `invalid AppArmor profile name: ${goQuoted(value)}`)])
    ]
  })
}

/** A running container's profile can't change, so neither can what says which one it is. */
export const validateAppArmorUpdate = (pod: Pod, old: Pod): FieldError[] => {
  const [now, before] = [annotationsOf(pod), annotationsOf(old)]
  return [
    ...before
      .filter(([key, value]) => pod.metadata.annotations?.[key] !== value)
      .map(([key]) => forbiddenField(`metadata.annotations[${key}]`, 'may not remove or update AppArmor annotations')),
    ...now
      .filter(([key]) => old.metadata.annotations?.[key] === undefined)
      .map(([key]) => forbiddenField(`metadata.annotations[${key}]`, 'may not add AppArmor annotations'))
  ]
}
