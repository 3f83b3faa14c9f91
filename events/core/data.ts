/** What ConfigMap and Secret share: keys, the size limit, and the `immutable` switch. */
import type { KubeObject } from '#events/KubeObject.ts'
import type { FieldError } from '#events/Refusal.ts'
import { badValue, forbiddenField, same } from '#events/meta/faults.ts'
import { configKey } from '#events/meta/names.ts'

/** 1 MiB, of decoded values. */
export const DATA_MAX = 1024 * 1024

type Data = Readonly<Record<string, string>> | undefined

export const base64Length = (text: string): number =>
  Math.floor((text.length * 3) / 4) - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0)

export const validateKeys = (data: Data, field: string, errors: FieldError[]): void => {
  for (const key in data) for (const message of configKey(key)) errors.push(badValue(`${field}[${key}]`, key, message))
}

export const sizeOf = (data: Data, length: (value: string) => number): number => {
  let size = 0
  for (const key in data) size += length(data[key] as string)
  return size
}

/** `fields`: what may not change once `immutable` is true. */
export const validateImmutable = (object: KubeObject, old: KubeObject, fields: readonly string[]): FieldError[] => {
  if (old['immutable'] !== true) return []
  const errors: FieldError[] = []
  if (object['immutable'] !== true) errors.push(forbiddenField('immutable', 'field is immutable when `immutable` is set'))
  for (const field of fields)
    if (!same(object[field] ?? {}, old[field] ?? {})) errors.push(forbiddenField(field, 'field is immutable when `immutable` is set'))
  return errors
}
