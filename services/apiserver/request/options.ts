/** The options of writes (CreateOptions … DeleteOptions), read from where clients put them and checked in upstream's words. */
import type { DeleteOptions, Intent } from '#events/Intent.ts'
import { badValue, forbiddenField, required, tooLong } from '#events/meta/faults.ts'
import { badRequest, invalid, type FieldError } from '#events/Refusal.ts'
import { typeOfKind, type TypeSchema } from '#events/schema/Schema.ts'
import { decodeStrict, strictDecodingError } from '#events/schema/validate.ts'
import { typeMetaFault } from './decode.ts'

export type Options = NonNullable<Intent['options']>
export type OptionsKind = 'CreateOptions' | 'UpdateOptions' | 'PatchOptions'

/** As a client writes them, before anything is checked. */
export interface GivenOptions {
  readonly fieldManager: string
  readonly fieldValidation: string
  readonly dryRun: readonly string[]
  /** Undefined when not given at all, which is not the same as false. */
  readonly force: boolean | undefined
}

const LONGEST_MANAGER = 128
const VALIDATIONS = ['', 'Ignore', 'Strict', 'Warn']
const POLICIES = ['Foreground', 'Background', 'Orphan']
const META = 'meta.k8s.io'

const quoted = (values: readonly string[]): string => values.map((value) => JSON.stringify(value)).join(', ')
const notSupported = (field: string, value: unknown, supported: readonly string[]): FieldError => ({
  type: 'NotSupported',
  field,
  value,
  detail: `supported values: ${quoted(supported)}`
})

const dryRunFaults = (dryRun: readonly string[]): FieldError[] =>
  dryRun.every((value) => value === 'All') ? [] : [notSupported('dryRun', dryRun, ['All'])]

const bytesOf = (text: string): number => new TextEncoder().encode(text).length

/** Letters, marks, digits, punctuation, symbols and the space: Go's `unicode.IsPrint`. */
const UNPRINTABLE = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u

export const printable = (text: string): string => text.replace(new RegExp(UNPRINTABLE, 'gu'), '')

const managerFaults = (manager: string): FieldError[] => {
  const faults: FieldError[] = []
  if (bytesOf(manager) > LONGEST_MANAGER) faults.push(tooLong('fieldManager', LONGEST_MANAGER))
  const found = UNPRINTABLE.exec(manager)
  if (found !== null) {
    const code = (found[0].codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')
    faults.push(badValue('fieldManager', manager, `invalid character U+${code} (at position ${bytesOf(manager.slice(0, found.index))})`))
  }
  return faults
}

/** What create, update and patch are told beside the object. Throws 422. */
export const checkOptions = (kind: OptionsKind, given: GivenOptions, apply = false): Options => {
  const { fieldManager, fieldValidation, dryRun, force } = given
  const faults: FieldError[] = []
  if (apply && fieldManager === '') faults.push(required('fieldManager', 'is required for apply patch'))
  if (kind === 'PatchOptions' && !apply && force !== undefined)
    faults.push(forbiddenField('force', 'may not be specified for non-apply patch'))
  faults.push(...managerFaults(fieldManager), ...dryRunFaults(dryRun))
  if (!VALIDATIONS.includes(fieldValidation)) faults.push(notSupported('fieldValidation', fieldValidation, VALIDATIONS))
  if (faults.length > 0) throw invalid(META, kind, '', faults)
  return {
    fieldValidation: (fieldValidation || 'Warn') as NonNullable<Options['fieldValidation']>,
    ...(fieldManager === '' ? {} : { fieldManager }),
    ...(apply && force === true ? { force } : {}),
    ...(dryRun.length > 0 ? { dryRun: true } : {})
  }
}

/** A boolean query parameter as upstream reads it: absent is undefined, and anything but `0` and `false` is true. */
export const booleanOf = (query: URLSearchParams, name: string): boolean | undefined => {
  const text = query.get(name)
  return text === null ? undefined : text !== '0' && text.toLowerCase() !== 'false'
}

const LIMIT = 2n ** 63n

/** An int64 query parameter; undefined when absent. Throws 400. */
export const integerOf = (query: URLSearchParams, name: string): number | undefined => {
  const text = query.get(name)
  if (text === null) return undefined
  if (!/^[+-]?\d+$/.test(text) || text.length > 64) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`)
  const value = BigInt(text.replace('+', ''))
  if (value >= LIMIT || value < -LIMIT) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`)
  return Number(value)
}

export const optionsOfQuery = (kind: OptionsKind, query: URLSearchParams, apply = false): Options =>
  checkOptions(
    kind,
    {
      fieldManager: query.get('fieldManager') ?? '',
      fieldValidation: query.get('fieldValidation') ?? '',
      dryRun: query.getAll('dryRun'),
      force: kind === 'PatchOptions' ? booleanOf(query, 'force') : undefined
    },
    apply
  )

export interface Deletion {
  readonly deleteOptions: DeleteOptions
  readonly dryRun: boolean
}

interface SentDeleteOptions extends DeleteOptions {
  readonly dryRun?: readonly string[]
  readonly orphanDependents?: boolean
}

/** `typed`: decoded already, as a field of something else. Throws 422. */
export const checkDeleteOptions = (typed: SentDeleteOptions): Deletion => {
  const { dryRun = [], orphanDependents, gracePeriodSeconds, propagationPolicy, preconditions } = typed
  const faults: FieldError[] = []
  if (orphanDependents !== undefined && propagationPolicy !== undefined)
    faults.push(badValue('propagationPolicy', propagationPolicy, 'orphanDependents and deletionPropagation cannot be both set'))
  if (propagationPolicy !== undefined && !POLICIES.includes(propagationPolicy))
    faults.push(notSupported('propagationPolicy', propagationPolicy, [...POLICIES, 'nil']))
  faults.push(...dryRunFaults(dryRun))
  if (faults.length > 0) throw invalid(META, 'DeleteOptions', '', faults)
  const policy = propagationPolicy ?? (orphanDependents === undefined ? undefined : orphanDependents ? 'Orphan' : 'Background')
  return {
    deleteOptions: {
      ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
      ...(policy === undefined ? {} : { propagationPolicy: policy }),
      ...(preconditions === undefined ? {} : { preconditions })
    },
    dryRun: dryRun.length > 0
  }
}

/** A body that should be DeleteOptions, of any group version; null says nothing, as an empty body does. Throws 400 and 422. */
export const deleteOptionsOf = (value: unknown, validation: 'Ignore' | 'Strict' = 'Ignore'): Deletion => {
  const fault = typeMetaFault(value)
  if (fault !== undefined) throw badRequest(fault)
  const { kind, apiVersion } = (value ?? {}) as { kind?: string; apiVersion?: string }
  if ((kind ?? '') !== '' && kind !== 'DeleteOptions')
    throw badRequest(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion ?? '')}`)
  const { value: typed, errors, unknownFields } = decodeStrict(typeOfKind('', 'v1', 'DeleteOptions') as TypeSchema, value ?? {}, validation)
  if (errors.length > 0) throw badRequest(errors[0] as string)
  if (unknownFields.length > 0) throw badRequest(strictDecodingError(unknownFields))
  return checkDeleteOptions(typed as SentDeleteOptions)
}

/**
 * DeleteOptions come in the body or, from simple clients, as query parameters; a body is the whole of it.
 * Except for a dry run: whoever says so anywhere must not lose an object. (Upstream forgets the query's when there is a body.)
 */
export const deletionOf = (body: unknown, query: URLSearchParams): Deletion => {
  const dryRun = query.getAll('dryRun')
  if (body === undefined) {
    const policy = query.get('propagationPolicy') as DeleteOptions['propagationPolicy'] | null
    const gracePeriodSeconds = integerOf(query, 'gracePeriodSeconds')
    const orphanDependents = booleanOf(query, 'orphanDependents')
    return checkDeleteOptions({
      dryRun,
      ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
      ...(policy === null ? {} : { propagationPolicy: policy }),
      ...(orphanDependents === undefined ? {} : { orphanDependents })
    })
  }
  const deletion = deleteOptionsOf(body)
  return { ...deletion, dryRun: checkDeleteOptions({ dryRun }).dryRun || deletion.dryRun }
}
