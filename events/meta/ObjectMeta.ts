/** The checks every kind's metadata gets, on create and on update. */
import type { Kind } from '#events/Kind.ts'
import type { KubeObject, ObjectMeta, OwnerReference } from '#events/KubeObject.ts'
import type { FieldError } from '#events/Refusal.ts'
import { badValue, badValues, forbiddenField, immutable, required, tooLong } from './faults.ts'
import { canonicalIP } from './ip.ts'
import { label1035Name, labelName, pathName, qualifiedName, subdomainName } from './names.ts'
import { validateLabels } from './LabelSelector.ts'

/** As upstream reads it: in Go's words where it is none. */
const ipName = (name: string): readonly string[] => {
  const canonical = canonicalIP(name)
  if (canonical === undefined) return [`ParseAddr(${JSON.stringify(name)}): unable to parse IP`]
  return canonical === name ? [] : ['must be a canonical form IP address']
}

const RULES = { subdomain: subdomainName, label: labelName, label1035: label1035Name, path: pathName, ip: ipName }

const ANNOTATIONS_MAX = 256 * 1024
const STANDARD_FINALIZERS = new Set(['kubernetes', 'foregroundDeletion', 'orphan'])

/** Messages about a name of the kind; `prefix` when it is a generateName, to which letters are added. */
export const checkName = (kind: Pick<Kind, 'nameRule'>, name: string, prefix = false): readonly string[] =>
  RULES[kind.nameRule ?? 'subdomain'](prefix && name.length > 1 && name.endsWith('-') ? `${name.slice(0, -1)}a` : name)

const utf8Length = (text: string): number => {
  let length = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code < 0x80) length += 1
    else if (code < 0x800) length += 2
    else if (code >= 0xd800 && code < 0xdc00) {
      length += 4
      index++
    } else length += 3
  }
  return length
}

export const validateAnnotations = (
  annotations: Readonly<Record<string, string>> | undefined,
  field: string,
  errors: FieldError[]
): void => {
  if (annotations === undefined || annotations === null) return
  let size = 0
  for (const key in annotations) {
    for (const message of qualifiedName(key.toLowerCase())) errors.push(badValue(field, key, message))
    size += utf8Length(key) + utf8Length(String(annotations[key]))
  }
  if (size > ANNOTATIONS_MAX) errors.push(tooLong(field, ANNOTATIONS_MAX))
}

const validateOwners = (owners: readonly OwnerReference[], field: string, errors: FieldError[]): void => {
  let controller: OwnerReference | undefined
  owners.forEach((owner, index) => {
    const path = `${field}[${index}]`
    const version = (owner.apiVersion ?? '').split('/').at(-1)
    if (version === '') errors.push(badValue(`${path}.apiVersion`, owner.apiVersion ?? '', 'version must not be empty'))
    for (const part of ['kind', 'name', 'uid'] as const)
      if (!owner[part]) errors.push(badValue(`${path}.${part}`, owner[part] ?? '', `${part} must not be empty`))
    if (owner.kind === 'Event' && (owner.apiVersion === 'v1' || owner.apiVersion === 'events.k8s.io/v1'))
      errors.push(badValue(path, owner, `${owner.apiVersion}, Kind=Event is disallowed from being an owner`))
    if (owner.controller === true) {
      if (controller !== undefined)
        errors.push(
          badValue(
            field,
            owners,
            `Only one reference can have Controller set to true. Found "true" in references for ${controller.kind}/${controller.name} and ${owner.kind}/${owner.name}`
          )
        )
      controller = owner
    }
  })
}

const validateFinalizers = (finalizers: readonly string[], anyFinalizer: boolean, field: string, errors: FieldError[]): void => {
  for (const finalizer of finalizers) {
    const messages = qualifiedName(finalizer)
    errors.push(...badValues(field, finalizer, messages))
    if (!anyFinalizer && messages.length === 0 && !finalizer.includes('/') && !STANDARD_FINALIZERS.has(finalizer))
      errors.push(badValue(field, finalizer, 'name is neither a standard finalizer name nor is it fully qualified'))
  }
  if (finalizers.includes('orphan') && finalizers.includes('foregroundDeletion'))
    errors.push(badValue(field, finalizers, 'finalizer orphan and foregroundDeletion cannot be both set'))
}

/** Faults of an object's metadata, its name included. */
export const validateMeta = (kind: Pick<Kind, 'nameRule' | 'namespaced' | 'anyFinalizer'>, object: KubeObject): FieldError[] => {
  const errors: FieldError[] = []
  const meta = object.metadata
  if (meta.generateName) errors.push(...badValues('metadata.generateName', meta.generateName, checkName(kind, meta.generateName, true)))
  if (!meta.name) errors.push(required('metadata.name', 'name or generateName is required'))
  else for (const message of checkName(kind, meta.name)) errors.push(badValue('metadata.name', meta.name, message))
  if (kind.namespaced) {
    if (!meta.namespace) errors.push(required('metadata.namespace'))
    else for (const message of labelName(meta.namespace)) errors.push(badValue('metadata.namespace', meta.namespace, message))
  } else if (meta.namespace) errors.push(forbiddenField('metadata.namespace', 'not allowed on this type'))
  if (meta.generation !== undefined && meta.generation < 0)
    errors.push(badValue('metadata.generation', meta.generation, 'must be greater than or equal to 0'))
  validateLabels(meta.labels, 'metadata.labels', errors)
  validateAnnotations(meta.annotations, 'metadata.annotations', errors)
  if (meta.ownerReferences?.length) validateOwners(meta.ownerReferences, 'metadata.ownerReferences', errors)
  if (meta.finalizers?.length) validateFinalizers(meta.finalizers, kind.anyFinalizer === true, 'metadata.finalizers', errors)
  return errors
}

const IMMUTABLE = [
  'name',
  'namespace',
  'uid',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds'
] as const satisfies readonly (keyof ObjectMeta)[]

/** Faults of a change of metadata. Fill in what a client may leave out (uid, timestamps) from `old` first. */
export const validateMetaUpdate = (object: KubeObject, old: KubeObject): FieldError[] => {
  const errors: FieldError[] = []
  for (const field of IMMUTABLE) immutable(object.metadata[field], old.metadata[field], `metadata.${field}`, errors)
  if (old.metadata.generation !== undefined && (object.metadata.generation ?? 0) < old.metadata.generation)
    errors.push(badValue('metadata.generation', object.metadata.generation ?? 0, 'must not be decremented'))
  if (old.metadata.deletionTimestamp !== undefined) {
    const before = new Set(old.metadata.finalizers)
    const added = (object.metadata.finalizers ?? []).filter((finalizer) => !before.has(finalizer)).slice(0, 100)
    if (added.length > 0)
      errors.push(
        forbiddenField(
          'metadata.finalizers',
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((one) => JSON.stringify(one)).join(', ')}}`
        )
      )
  }
  return errors
}
