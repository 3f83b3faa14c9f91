/** What the printed tables of all kinds share. */
import type { Column } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { since } from './Duration.ts'

export const NAME: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name must be unique within a namespace, or within the cluster for cluster-scoped resources. Cannot be updated.'
}
export const AGE: Column = { name: 'Age', type: 'string', description: 'Time since the object was created.' }
/** How roles print their creation: as a time, not an age. */
export const CREATED_AT: Column = { name: 'Created At', type: 'date', description: 'When the object was created.' }

export const text = (name: string, description?: string): Column => ({
  name,
  type: 'string',
  ...(description === undefined ? {} : { description })
})
export const integer = (name: string, description?: string): Column => ({
  name,
  type: 'integer',
  ...(description === undefined ? {} : { description })
})
/** A column that shows with `-o wide` only. */
export const wide = (name: string, description?: string): Column => ({ ...text(name, description), priority: 1 })

export const age = (object: KubeObject, now: number): string => since(object.metadata.creationTimestamp, now)

export const orNone = (value: string | undefined | null): string =>
  value === undefined || value === null || value === '' ? '<none>' : value

/** `a,b,c + 2 more...` */
export const firstFew = (items: readonly string[], limit: number, none: string): string =>
  items.length === 0
    ? none
    : items.length > limit
      ? `${items.slice(0, limit).join(',')} + ${items.length - limit} more...`
      : items.join(',')
