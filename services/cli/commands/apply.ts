/** `reckon apply -f`: manifests become intents over NATS, decided by the same rules as requests over HTTPS. */
import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import type { Api } from '#events/Api.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Kind } from '#events/Kind.ts'
import type { Status } from '#events/Refusal.ts'
import { NatsIntents } from '#services/platform/NatsIntents.ts'
import { CliError, type Environment } from '#services/cli/Environment.ts'
import { encoded, out } from '#services/cli/print.ts'
import { printedName } from '#services/cli/resources.ts'

export interface ApplyOptions {
  readonly files: readonly string[]
  readonly namespace: string
  readonly recursive: boolean
  readonly dryRun: boolean
  readonly force: boolean
  readonly format: 'table' | 'json' | 'yaml'
}

const MANIFEST = /\.(ya?ml|json)$/

const pathsOf = (path: string, recursive: boolean): string[] => {
  if (path === '-') return [path]
  let isFolder: boolean
  try {
    isFolder = statSync(path).isDirectory()
  } catch {
    throw new CliError(`error: the path "${path}" does not exist`)
  }
  if (!isFolder) return [path]
  return readdirSync(path, { recursive, withFileTypes: true })
    .filter((entry) => entry.isFile() && MANIFEST.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

/** The objects of a manifest; Lists are taken apart. */
export const objectsOf = (text: string, path: string): KubeObject[] =>
  parseAllDocuments(text).flatMap((document) => {
    const fault = 'errors' in document ? document.errors[0] : undefined
    if (fault !== undefined) throw new CliError(`error: error parsing ${path}: ${fault.message}`)
    const value = document.toJSON() as (KubeObject & { items?: KubeObject[] }) | null
    if (value === null) return []
    if (typeof value !== 'object' || typeof value.kind !== 'string' || typeof value.apiVersion !== 'string')
      throw new CliError(`error: ${path}: every object needs apiVersion and kind`)
    return value.kind === 'List' || (value.kind.endsWith('List') && Array.isArray(value.items)) ? (value.items ?? []) : [value]
  })

const kindOf = (api: Api, object: KubeObject): Kind => {
  const found = api.kindOfObject(object)
  if (found === undefined)
    throw new CliError(`error: resource mapping not found: no matches for kind "${object.kind}" in version "${object.apiVersion}"`)
  return found
}

/** In kubectl's words. */
export const refusalText = ({ reason, message, details }: Status, path: string): string =>
  reason === 'Invalid'
    ? `The ${details?.kind ?? 'object'} "${details?.name ?? ''}" is invalid: ${(details?.causes ?? []).map(({ field, message: why }) => `\n* ${field}: ${why}`).join('') || message}`
    : `Error from server (${reason}): error when applying "${path}": ${message}`

export const apply = async (
  environment: Environment['Service'],
  { files, namespace, recursive, dryRun, force, format }: ApplyOptions
): Promise<void> => {
  if (files.length === 0) throw new CliError('error: must specify -f')
  const objects = files
    .flatMap((file) => pathsOf(file, recursive))
    .flatMap((path) =>
      objectsOf(path === '-' ? readFileSync(0, 'utf8') : readFileSync(path, 'utf8'), path).map((object) => ({ object, path }))
    )
  if (objects.length === 0) throw new CliError('error: no objects passed to apply')
  const api = await environment.api()
  const connection = await environment.connect()
  const intents = new NatsIntents(connection, { user: 'admin' })
  let failed = 0
  const results: KubeObject[] = []
  try {
    for (const { object, path } of objects) {
      try {
        const kind = kindOf(api, object)
        const name = object.metadata?.name
        if (name === undefined || name === '') throw new CliError(`error: ${path}: metadata.name is needed to apply a ${kind.kind}`)
        const scope = kind.namespaced ? (object.metadata.namespace ?? namespace) : ''
        const result = await intents.submit({
          id: randomUUID(),
          verb: 'patch',
          ref: { group: kind.group, resource: kind.resource },
          version: kind.version,
          namespace: scope,
          name,
          patch: { type: 'application/apply-patch+yaml', body: object },
          options: { fieldManager: 'reckon', fieldValidation: 'Strict', ...(force ? { force } : {}), ...(dryRun ? { dryRun } : {}) },
          source: 'reckon',
          command: 'reckon apply'
        })
        if (!result.ok) {
          failed += 1
          process.stderr.write(`${refusalText(result.status, path)}\n`)
          continue
        }
        for (const warning of result.warnings ?? []) process.stderr.write(`Warning: ${warning}\n`)
        results.push(result.object)
        if (format === 'table')
          out(
            `${printedName(kind, name)} ${result.code === 201 ? 'created' : result.unchanged === true ? 'unchanged' : 'configured'}${dryRun ? ' (server dry run)' : ''}`
          )
      } catch (error) {
        if (!(error instanceof CliError)) throw error
        failed += 1
        process.stderr.write(`${error.message}\n`)
      }
    }
  } finally {
    await connection.close()
  }
  if (format !== 'table') out(encoded(results.length === 1 ? results[0] : { apiVersion: 'v1', kind: 'List', items: results }, format))
  if (failed > 0) throw new CliError('')
}
