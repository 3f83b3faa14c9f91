/** Secret: data for pods to read, kept out of tables and messages. */
import type * as types from '#events/schema/generated/core.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { badValue, immutable, required, tooLong } from '#events/meta/faults.ts'
import { age, AGE, integer, NAME, text } from '#events/meta/Table.ts'
import { ALL_VERBS } from '#events/meta/verbs.ts'
import type { FieldError } from '#events/Refusal.ts'
import { base64Length, DATA_MAX, sizeOf, validateImmutable, validateKeys } from './data.ts'

const REDACTED = '<secret contents redacted>'

const toBase64 = (value: string): string => {
  let binary = ''
  for (const byte of new TextEncoder().encode(value)) binary += String.fromCharCode(byte)
  return btoa(binary)
}

const fromBase64 = (value: string): string => new TextDecoder().decode(Uint8Array.from(atob(value), (char) => char.charCodeAt(0)))

const isJson = (base64: string): boolean => {
  try {
    const value: unknown = JSON.parse(fromBase64(base64))
    return typeof value === 'object' && value !== null
  } catch {
    return false
  }
}

const needKey = (secret: types.Secret, key: string, errors: FieldError[]): void => {
  if (secret.data?.[key] === undefined) errors.push(required(`data[${key}]`))
}

const validateType = (secret: types.Secret, errors: FieldError[]): void => {
  const data: Record<string, string> = secret.data ?? {}
  switch (secret.type) {
    case 'kubernetes.io/service-account-token':
      if (!secret.metadata.annotations?.['kubernetes.io/service-account.name'])
        errors.push(required('metadata.annotations[kubernetes.io/service-account.name]'))
      break
    case 'kubernetes.io/dockercfg':
    case 'kubernetes.io/dockerconfigjson': {
      const key = secret.type === 'kubernetes.io/dockercfg' ? '.dockercfg' : '.dockerconfigjson'
      needKey(secret, key, errors)
      if (data[key] !== undefined && !isJson(data[key])) errors.push(badValue(`data[${key}]`, REDACTED, 'must be a JSON object'))
      break
    }
    case 'kubernetes.io/basic-auth':
      if (data['username'] === undefined && data['password'] === undefined)
        errors.push(required('data[username]'), required('data[password]'))
      break
    case 'kubernetes.io/ssh-auth':
      if (!data['ssh-privatekey']) errors.push(required('data[ssh-privatekey]'))
      break
    case 'kubernetes.io/tls':
      needKey(secret, 'tls.crt', errors)
      needKey(secret, 'tls.key', errors)
  }
}

export const Secret: Kind<types.Secret> = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  resource: 'secrets',
  singular: 'secret',
  namespaced: true,
  verbs: ALL_VERBS,
  stream: 'EVENTS',
  default(secret) {
    secret.type ||= 'Opaque'
    const clear: Record<string, string> | undefined = secret.stringData
    if (clear !== undefined && clear !== null)
      secret.data = { ...secret.data, ...Object.fromEntries(Object.entries(clear).map(([key, value]) => [key, toBase64(value)])) }
    delete secret.stringData
  },
  validate(secret) {
    const errors: FieldError[] = []
    validateKeys(secret.data, 'data', errors)
    if (sizeOf(secret.data, base64Length) > DATA_MAX) errors.push(tooLong('data', DATA_MAX))
    validateType(secret, errors)
    return errors
  },
  validateUpdate(secret, old) {
    const errors: FieldError[] = []
    // Of one whose contents were erased it is not known any more: it must still be possible to take its finalizers away.
    if (old.type !== undefined) immutable(secret.type, old.type, 'type', errors)
    return [...errors, ...validateImmutable(secret, old, ['data'])]
  },
  fields: { type: (secret) => secret.type ?? '' },
  columns: [
    NAME,
    text('Type', 'Used to facilitate programmatic handling of secret data.'),
    integer('Data', 'Data contains the secret data.'),
    AGE
  ],
  row: (secret, now) => [secret.metadata.name ?? '', secret.type ?? '', Object.keys(secret.data ?? {}).length, age(secret, now)]
}
