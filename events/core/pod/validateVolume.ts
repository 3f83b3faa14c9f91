/** The faults of volumes: one source each, and what that source needs. */
import type { KeyToPath, Volume } from '#events/schema/generated/core.v1.ts'
import { badValue, badValues, duplicate, forbiddenField, required, unsupported } from '#events/meta/faults.ts'
import { labelName } from '#events/meta/names.ts'
import { compareQuantities } from '#events/meta/Quantity.ts'
import type { FieldError } from '#events/Refusal.ts'
import { validateFieldPath, validateSubPath } from './validateContainer.ts'

const HOST_PATH_TYPES = ['', 'DirectoryOrCreate', 'Directory', 'FileOrCreate', 'File', 'Socket', 'CharDevice', 'BlockDevice']
const MODE = 'must be a number between 0 and 0777 (octal), both inclusive'

const validateMode = (mode: number | undefined, field: string, errors: FieldError[]): void => {
  if (mode !== undefined && mode !== null && (mode < 0 || mode > 0o777)) errors.push(badValue(field, mode, MODE))
}

const validateItems = (items: readonly KeyToPath[] | undefined, path: string, errors: FieldError[]): void => {
  items?.forEach((item, index) => {
    const at = `${path}.items[${index}]`
    if (!item.key) errors.push(required(`${at}.key`))
    if (!item.path) errors.push(required(`${at}.path`))
    else validateSubPath(item.path, `${at}.path`, errors)
    validateMode(item.mode, `${at}.mode`, errors)
  })
}

type DownwardItem = NonNullable<NonNullable<Volume['downwardAPI']>['items']>[number]

const validateDownward = (items: readonly DownwardItem[] | undefined, path: string, errors: FieldError[]): void => {
  items?.forEach((item, index) => {
    const at = `${path}.items[${index}]`
    if (!item.path) errors.push(required(`${at}.path`))
    else validateSubPath(item.path, `${at}.path`, errors)
    if (item.fieldRef !== undefined) {
      // Files, unlike variables, can hold whole label sets.
      if (!/^metadata\.(labels|annotations)$/.test(item.fieldRef.fieldPath ?? ''))
        validateFieldPath(item.fieldRef.fieldPath, `${at}.fieldRef.fieldPath`, errors)
    } else if (item.resourceFieldRef === undefined) errors.push(required(at, 'one of fieldRef and resourceFieldRef is required'))
    else if (!item.resourceFieldRef.containerName) errors.push(required(`${at}.resourceFieldRef.containerName`))
    validateMode(item.mode, `${at}.mode`, errors)
  })
}

const validateProjected = (source: NonNullable<Volume['projected']>, path: string, errors: FieldError[]): void => {
  validateMode(source.defaultMode, `${path}.defaultMode`, errors)
  source.sources?.forEach((projection, index) => {
    const at = `${path}.sources[${index}]`
    const kinds = Object.keys(projection)
    if (kinds.length > 1) errors.push(forbiddenField(at, 'may not specify more than 1 volume type'))
    if (projection.secret !== undefined) {
      if (!projection.secret.name) errors.push(required(`${at}.secret.name`))
      validateItems(projection.secret.items, `${at}.secret`, errors)
    }
    if (projection.configMap !== undefined) {
      if (!projection.configMap.name) errors.push(required(`${at}.configMap.name`))
      validateItems(projection.configMap.items, `${at}.configMap`, errors)
    }
    if (projection.downwardAPI !== undefined) validateDownward(projection.downwardAPI.items, `${at}.downwardAPI`, errors)
    const token = projection.serviceAccountToken
    if (token !== undefined) {
      if (!token.path) errors.push(required(`${at}.serviceAccountToken.path`))
      if ((token.expirationSeconds ?? 3600) < 600)
        errors.push(
          badValue(
            `${at}.serviceAccountToken.expirationSeconds`,
            token.expirationSeconds,
            'may not specify a duration less than 10 minutes'
          )
        )
    }
  })
}

const validateSource = (volume: Volume, kind: string, path: string, errors: FieldError[]): void => {
  const at = `${path}.${kind}`
  switch (kind) {
    case 'emptyDir':
      if (volume.emptyDir?.sizeLimit !== undefined && compareQuantities(volume.emptyDir.sizeLimit, '0') < 0)
        errors.push(forbiddenField(`${at}.sizeLimit`, 'SizeLimit field must be a valid resource quantity'))
      break
    case 'hostPath': {
      const { path: hostPath, type = '' } = volume.hostPath ?? { path: '' }
      if (!hostPath) errors.push(required(`${at}.path`))
      else if (hostPath.split('/').includes('..')) errors.push(badValue(`${at}.path`, hostPath, "must not contain '..'"))
      if (!HOST_PATH_TYPES.includes(type)) errors.push(unsupported(`${at}.type`, type, HOST_PATH_TYPES))
      break
    }
    case 'secret':
      if (!volume.secret?.secretName) errors.push(required(`${at}.secretName`))
      validateMode(volume.secret?.defaultMode, `${at}.defaultMode`, errors)
      validateItems(volume.secret?.items, at, errors)
      break
    case 'configMap':
      if (!volume.configMap?.name) errors.push(required(`${at}.name`))
      validateMode(volume.configMap?.defaultMode, `${at}.defaultMode`, errors)
      validateItems(volume.configMap?.items, at, errors)
      break
    case 'downwardAPI':
      validateMode(volume.downwardAPI?.defaultMode, `${at}.defaultMode`, errors)
      validateDownward(volume.downwardAPI?.items, at, errors)
      break
    case 'projected':
      validateProjected(volume.projected ?? { sources: [] }, at, errors)
      break
    case 'persistentVolumeClaim':
      if (!volume.persistentVolumeClaim?.claimName) errors.push(required(`${at}.claimName`))
      break
    case 'nfs':
      if (!volume.nfs?.server) errors.push(required(`${at}.server`))
      if (!volume.nfs?.path) errors.push(required(`${at}.path`))
  }
}

/** The names of the volumes, for the mounts to refer to. */
export const validateVolumes = (volumes: readonly Volume[] | undefined, path: string, errors: FieldError[]): ReadonlySet<string> => {
  const names = new Set<string>()
  volumes?.forEach((volume, index) => {
    const at = `${path}[${index}]`
    let first: string | undefined
    for (const kind in volume) {
      if (kind === 'name' || volume[kind as keyof Volume] === undefined) continue
      if (first !== undefined) errors.push(forbiddenField(`${at}.${kind}`, 'may not specify more than 1 volume type'))
      else validateSource(volume, (first = kind), at, errors)
    }
    if (first === undefined) errors.push(required(at, 'must specify a volume type'))
    if (!volume.name) {
      errors.push(required(`${at}.name`))
      return
    }
    errors.push(...badValues(`${at}.name`, volume.name, labelName(volume.name)))
    if (names.has(volume.name)) errors.push(duplicate(`${at}.name`, volume.name))
    names.add(volume.name)
  })
  return names
}
