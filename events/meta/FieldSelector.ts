/** Selecting objects by the few fields a kind offers for it: `spec.nodeName=n1,status.phase!=Failed`. */
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { badRequest } from '#events/Refusal.ts'

export interface FieldRequirement {
  readonly field: string
  readonly operator: '=' | '!='
  readonly value: string
}

const TERM = /(?:[^,\\]|\\.|\\$)+/g
const PARTS = /^([^=!\\]*)(!=|==|=)(.*)$/s

const unescape = (value: string, selector: string): string => {
  if (/(^|[^\\])(\\\\)*\\([^\\,=]|$)/.test(value) || /(^|[^\\])(\\\\)*=/.test(value))
    throw badRequest(`invalid field selector: invalid escape sequence: ${JSON.stringify(selector)}`)
  return value.replace(/\\([\\,=])/g, '$1')
}

/** `a=b,c==d,e!=f`; `\,` `\=` `\\` stand for themselves in values. Throws a 400 Refusal. */
export const parseFieldSelector = (text: string): readonly FieldRequirement[] =>
  (text.match(TERM) ?? []).map((term) => {
    const match = PARTS.exec(term)
    if (match === null) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`)
    const [, field = '', operator, value = ''] = match
    return { field, operator: operator === '!=' ? '!=' : '=', value: unescape(value, term) }
  })

const META: Readonly<Record<string, (object: KubeObject) => string>> = {
  'metadata.name': (object) => object.metadata.name ?? '',
  'metadata.namespace': (object) => object.metadata.namespace ?? ''
}

/**
 * The test an object must pass. Throws a 400 Refusal for a field the kind does not offer
 * (kubectl puts its own `Unable to find "/v1, Resource=pods" that match …` in front of the message).
 */
export const fieldMatcher = (kind: Pick<Kind, 'fields'>, requirements: readonly FieldRequirement[]): ((object: KubeObject) => boolean) => {
  const tests = requirements.map(({ field, operator, value }) => {
    const read = Object.hasOwn(META, field)
      ? META[field]
      : kind.fields !== undefined && Object.hasOwn(kind.fields, field)
        ? kind.fields[field]
        : undefined
    if (read === undefined)
      throw badRequest(
        kind.fields === undefined
          ? `"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`
          : `field label not supported: ${field}`
      )
    return { read, equal: operator === '=', value }
  })
  return (object) => tests.every(({ read, equal, value }) => (read(object) === value) === equal)
}

/** The value a field is required to have, when it is: lets `spec.nodeName=n1` use an index. */
export const requiredValue = (requirements: readonly FieldRequirement[], field: string): string | undefined =>
  requirements.find((requirement) => requirement.field === field && requirement.operator === '=')?.value
