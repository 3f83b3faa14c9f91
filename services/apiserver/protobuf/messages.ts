/** The protobuf messages of the Kubernetes API, read once from the fact table. */
import { readFileSync } from 'node:fs'

export interface ProtoField {
  /** JSON name; `-` when the message is nothing but this value. */
  readonly name: string
  readonly label: '' | 'repeated' | 'map'
  /** A scalar or a message's full name; of a map, its value (keys are strings). */
  readonly type: string
  readonly scalar: boolean
  /** JSON flattens the message into its parent. */
  readonly inline: boolean
  /** Present even when zero. */
  readonly pointer: boolean
  /** Absent from JSON when zero. */
  readonly omitempty: boolean
}

export type Message = ReadonlyMap<number, ProtoField>

const SCALARS = new Set(['string', 'bool', 'int32', 'int64', 'double', 'bytes'])

let table: Map<string, Map<number, ProtoField>> | undefined

const load = (): Map<string, Map<number, ProtoField>> => {
  const messages = new Map<string, Map<number, ProtoField>>()
  const text = readFileSync(new URL('../../../events/schema/facts/proto-fields.tsv', import.meta.url), 'utf8')
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const [pkg = '', message = '', number = '', name = '', label = '', declared = '', flags = ''] = line.split('\t')
    const type = label === 'map' ? declared.slice(declared.indexOf(',') + 1) : declared
    const scalar = SCALARS.has(type)
    const key = `${pkg}.${message}`
    let fields = messages.get(key)
    if (fields === undefined) messages.set(key, (fields = new Map()))
    fields.set(Number(number), {
      name,
      label: label as ProtoField['label'],
      type: scalar || type.includes('.') ? type : `${pkg}.${type}`,
      scalar,
      inline: flags.includes('inline'),
      pointer: flags.includes('pointer'),
      omitempty: flags.includes('omitempty')
    })
  }
  return messages
}

/** Fields by number of a message such as `core.v1.Pod`, or undefined. */
export const messageNamed = (name: string): Message | undefined => {
  table ??= load()
  return table.get(name)
}

/** Message of a kind: `apps/v1` `Deployment` is `apps.v1.Deployment`; DeleteOptions and the like are the meta package's in any group. */
export const messageOfKind = (apiVersion: string, kind: string): string | undefined => {
  const [group = '', version = ''] = apiVersion.includes('/') ? apiVersion.split('/') : ['core', apiVersion]
  return [`${group.split('.')[0]}.${version}.${kind}`, `apis.meta.v1.${kind}`].find((name) => messageNamed(name) !== undefined)
}
