/** A record of the stream AUDIT (audit.k8s.io/v1 Event at level Metadata), as far as the command line looks into it. Plain functions. */

interface Who {
  readonly username?: string
}

interface ObjectReference {
  readonly resource?: string
  readonly apiGroup?: string
  readonly namespace?: string
  readonly name?: string
  readonly subresource?: string
}

export interface AuditRecord {
  readonly kind: 'Event'
  readonly auditID?: string
  readonly stage?: string
  readonly requestURI?: string
  readonly verb?: string
  readonly user?: Who
  readonly impersonatedUser?: Who
  readonly sourceIPs?: readonly string[]
  readonly objectRef?: ObjectReference
  readonly responseStatus?: { readonly code?: number; readonly reason?: string; readonly message?: string }
  /** RFC 3339 with microseconds. */
  readonly stageTimestamp?: string
  readonly annotations?: Readonly<Record<string, string>>
}

const LOST = 'reckon.io/records-lost'
const LEFT_OUT = 'reckon.io/records-left-out'
/** They link a record to the log, or are counted elsewhere: nothing a person reads in a line. */
const LINKS: ReadonlySet<string> = new Set(['reckon.io/intent', 'reckon.io/cause', 'reckon.io/command', LOST, LEFT_OUT])

/** Undefined: no audit record. */
export const recordIn = (text: string): AuditRecord | undefined => {
  try {
    const found = JSON.parse(text) as AuditRecord | null
    return found?.kind === 'Event' ? found : undefined
  } catch {
    return undefined
  }
}

/** Milliseconds; NaN when the record does not say. */
export const timeOf = ({ stageTimestamp }: AuditRecord): number => Date.parse(stageTimestamp ?? '')

/** How many records, of anybody, are missing before this one; 0 in a record of a request. */
export const lostIn = ({ annotations }: AuditRecord): number => Number(annotations?.[LOST] ?? 0)

/** How many of the same asker's were left out before this one. */
export const leftOutIn = ({ annotations }: AuditRecord): number => Number(annotations?.[LEFT_OUT] ?? 0)

/** What the server noted: Pod Security's findings, erased uids. */
export const notesIn = ({ annotations = {} }: AuditRecord): readonly (readonly [key: string, value: string])[] =>
  Object.entries(annotations).filter(([key]) => !LINKS.has(key))
