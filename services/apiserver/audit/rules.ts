/** What the audit trail takes: what makes no event, or not one that says it all. Plain functions. */
import { isConfidential } from '#events/confidential.ts'
import type { Asked } from './record.ts'

const READS: ReadonlySet<string> = new Set(['get', 'list', 'watch'])
const REFUSED: ReadonlySet<number> = new Set([401, 403, 429])
/** The server's own trouble: nothing was decided, and the same request is asked again. */
const PASSING: ReadonlySet<number> = new Set([503, 504, 507])
/** What reaches into a container. */
const CONNECTS: ReadonlySet<string> = new Set(['exec', 'attach', 'portforward', 'proxy'])

export const isConnect = ({ object: { subresource = '' } = {} }: Pick<Asked, 'object'>): boolean => CONNECTS.has(subresource)

const readsSecrets = ({ verb, object }: Asked): boolean =>
  READS.has(verb) && object?.resource !== undefined && isConfidential({ group: object.group ?? '', resource: object.resource })

/** Says only which policy an allowed pod was held to: nothing to record it for. */
const ORDINARY: ReadonlySet<string> = new Set(['pod-security.kubernetes.io/enforce-policy'])

/** Recorded whatever the answer is. */
const isSensitive = (asked: Asked): boolean =>
  isConnect(asked) ||
  readsSecrets(asked) ||
  asked.impersonated !== undefined ||
  (asked.object?.resource === 'serviceaccounts' && asked.object.subresource === 'token')

/**
 * Whether a request that was answered with `code` is recorded. Writes that were done are events of the log, which say who did
 * what, when and why; a second record of each would cost what it costs and say less.
 */
export const isAudited = (asked: Asked, code: number, annotations: Readonly<Record<string, string>> = {}): boolean =>
  REFUSED.has(code) ||
  isSensitive(asked) ||
  Object.keys(annotations).some((key) => !ORDINARY.has(key)) ||
  (!READS.has(asked.verb) && asked.object !== undefined && code >= 400 && !PASSING.has(code))
