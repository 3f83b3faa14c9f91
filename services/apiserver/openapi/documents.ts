/** The OpenAPI documents, as functions of the list of served kinds. */
import { pathsOf } from './paths.ts'
import { SchemaSet, type Json, type OpenApiKind } from './schemas.ts'

/** `api/v1` or `apis/apps/v1`: how the v3 index names a group version. */
const groupVersionPath = (group: string, version: string): string => (group === '' ? `api/${version}` : `apis/${group}/${version}`)

/** Paths of the group versions that have a v3 document, in order of name. */
export const groupVersionPaths = (kinds: readonly OpenApiKind[]): string[] => {
  return [...new Set(kinds.map((kind) => groupVersionPath(kind.group, kind.version)))].sort()
}

const info = (version: string): Json => ({ title: 'Kubernetes', version })

/** `GET /openapi/v3`: where each group version's document is, with the hash of its content (KEP-2896). */
export const openapiV3Index = (hashes: ReadonlyMap<string, string>): Json => {
  return {
    paths: Object.fromEntries([...hashes].map(([path, hash]) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }]))
  }
}

/** The v3 document of one group version; undefined when no kind is in it. `serverVersion`: `v1.33.0`. */
export const openapiV3 = (kinds: readonly OpenApiKind[], group: string, version: string, serverVersion: string): Json | undefined => {
  const served = kinds.filter((kind) => kind.group === group && kind.version === version)
  if (served.length === 0) return undefined
  const schemas = new SchemaSet('v3')
  const paths = pathsOf(served, schemas, 'v3')
  return { openapi: '3.0.0', info: info(serverVersion), paths, components: { schemas: schemas.all() } }
}

/** The v2 document of everything. */
export const openapiV2 = (kinds: readonly OpenApiKind[], serverVersion: string): Json => {
  const schemas = new SchemaSet('v2')
  const paths = pathsOf(kinds, schemas, 'v2')
  return { swagger: '2.0', info: info(serverVersion), paths, definitions: schemas.all() }
}
