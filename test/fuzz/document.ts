/** The operations and schemas of a server's own OpenAPI v3 documents, as the fuzzer uses them. */

export type Json = Readonly<Record<string, unknown>>

export interface Operation {
  /** `/api/v1/namespaces/{namespace}/pods/{name}/status` */
  readonly path: string
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** `list`, `post`, `patch`, … */
  readonly action: string
  readonly group: string
  readonly version: string
  readonly kind: string
  /** '' for the object itself. */
  readonly subresource: string
  /** Names of query parameters. */
  readonly query: readonly string[]
  /** The schema of the body, by name. */
  readonly body: string | undefined
}

export interface Document {
  readonly operations: readonly Operation[]
  readonly schemas: ReadonlyMap<string, Json>
}

const METHODS = { get: 'GET', post: 'POST', put: 'PUT', patch: 'PATCH', delete: 'DELETE' } as const
const PREFIX = '#/components/schemas/'

export const refOf = (schema: Json | undefined): string | undefined => {
  const direct = schema?.['$ref'] ?? (schema?.['allOf'] as readonly Json[] | undefined)?.[0]?.['$ref']
  return typeof direct === 'string' ? direct.slice(PREFIX.length) : undefined
}

interface Described {
  readonly parameters?: readonly { readonly name: string; readonly in: string }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Json }>> }
  readonly 'x-kubernetes-action': string
  readonly 'x-kubernetes-group-version-kind'?: { readonly group: string; readonly version: string; readonly kind: string }
}

const operationsOf = (path: string, described: Readonly<Record<string, unknown>>): Operation[] =>
  Object.entries(METHODS).flatMap(([name, method]): Operation[] => {
    const one = described[name] as Described | undefined
    const gvk = one?.['x-kubernetes-group-version-kind']
    // Discovery has neither kind nor action in other servers' documents.
    if (one === undefined || gvk === undefined) return []
    return [
      {
        path,
        method,
        action: one['x-kubernetes-action'],
        group: gvk.group,
        version: gvk.version,
        kind: gvk.kind,
        subresource: /\{name\}\/(.+)$/.exec(path)?.[1] ?? '',
        query: (one.parameters ?? []).filter((parameter) => parameter.in === 'query').map((parameter) => parameter.name),
        body: refOf(Object.values(one.requestBody?.content ?? {})[0]?.schema)
      }
    ]
  })

/** All of a server's documents in one. `get`: the parsed body of a path. */
export const readDocument = async (get: (path: string) => Promise<unknown>): Promise<Document> => {
  const operations: Operation[] = []
  const schemas = new Map<string, Json>()
  const index = (await get('/openapi/v3')) as { readonly paths: Readonly<Record<string, unknown>> }
  for (const name of Object.keys(index.paths).toSorted()) {
    if (!/^apis?\/.*v\d/.test(name)) continue
    const document = (await get(`/openapi/v3/${name}`)) as {
      readonly paths: Readonly<Record<string, Json>>
      readonly components?: { readonly schemas?: Readonly<Record<string, Json>> }
    }
    for (const [schema, definition] of Object.entries(document.components?.schemas ?? {})) schemas.set(schema, definition)
    for (const [path, described] of Object.entries(document.paths)) operations.push(...operationsOf(path, described))
  }
  return { operations, schemas }
}
