/** The REST operations of each kind, rendered as OpenAPI paths. */
import type { DiscoverySubresource } from '#services/apiserver/discovery/documents.ts'
import type { Dialect, Json, OpenApiKind, SchemaSet } from './schemas.ts'

type Method = 'get' | 'put' | 'post' | 'patch' | 'delete'

interface Operation {
  readonly method: Method
  readonly action: string
  readonly gvk: { readonly group: string; readonly version: string; readonly kind: string }
  /** Query parameters by name. */
  readonly query: readonly string[]
  readonly body?: Json
  readonly bodyTypes?: readonly string[]
  readonly result: Json
  readonly resultCodes: readonly number[]
  readonly description: string
  readonly id: string
}

const PARAMETERS: Readonly<Record<string, { readonly type: 'string' | 'boolean' | 'integer'; readonly description: string }>> = {
  allowWatchBookmarks: { type: 'boolean', description: 'Asks for BOOKMARK events in a watch.' },
  continue: { type: 'string', description: 'The token of the next page of a list.' },
  dryRun: { type: 'string', description: 'With "All", every step is taken except storing the result.' },
  fieldManager: { type: 'string', description: 'The name of the actor that makes the change, for field ownership.' },
  fieldSelector: { type: 'string', description: 'Restricts the result by field values.' },
  fieldValidation: { type: 'string', description: 'What to do about unknown and duplicate fields: Ignore, Warn (the default) or Strict.' },
  force: { type: 'boolean', description: 'Takes over conflicting fields; for apply patches only.' },
  gracePeriodSeconds: { type: 'integer', description: 'Seconds before the object is deleted; 0 deletes at once.' },
  labelSelector: { type: 'string', description: 'Restricts the result by labels.' },
  limit: { type: 'integer', description: 'The most objects to answer in one page.' },
  pretty: { type: 'string', description: 'With "true", the answer is indented.' },
  propagationPolicy: { type: 'string', description: 'What becomes of dependents: Orphan, Background or Foreground.' },
  resourceVersion: { type: 'string', description: 'The version a list or watch starts from.' },
  resourceVersionMatch: { type: 'string', description: 'How resourceVersion is applied: Exact or NotOlderThan.' },
  sendInitialEvents: { type: 'boolean', description: 'Begins a watch with an ADDED event for every existing object and a bookmark.' },
  timeoutSeconds: { type: 'integer', description: 'Ends a list or watch after this time.' },
  watch: { type: 'boolean', description: 'Answers a stream of changes instead of a list.' }
}

const LIST = [
  'allowWatchBookmarks',
  'continue',
  'fieldSelector',
  'labelSelector',
  'limit',
  'resourceVersion',
  'resourceVersionMatch',
  'sendInitialEvents',
  'timeoutSeconds',
  'watch'
]
const WRITE = ['dryRun', 'fieldManager', 'fieldValidation']
const DELETE = ['dryRun', 'gracePeriodSeconds', 'propagationPolicy']

const PATCH_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml'
]
/**
 * Custom kinds have no strategic merge, and must not say they do: kubectl (1.28 and newer) applies with the patch type that it finds here.
 */
const CUSTOM_PATCH_TYPES = PATCH_TYPES.filter((type) => type !== 'application/strategic-merge-patch+json')
const patchTypesOf = (kind: OpenApiKind): readonly string[] => (kind.schema === undefined ? PATCH_TYPES : CUSTOM_PATCH_TYPES)
const BODY_TYPES = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf']

/** Subresources whose answer is a stream, not an object. */
const CONNECT = new Set(['attach', 'exec', 'portforward', 'proxy'])

const groupPath = (kind: OpenApiKind): string => (kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`)
const collectionPath = (kind: OpenApiKind): string =>
  `${groupPath(kind)}/${kind.namespaced ? 'namespaces/{namespace}/' : ''}${kind.resource}`

const operationId = (action: string, kind: OpenApiKind, suffix = ''): string => {
  const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
  const group = kind.group === '' ? 'Core' : (kind.group.split('.')[0] ?? '').split('-').map(capital).join('')
  return `${action}${group}${capital(kind.version)}${kind.namespaced ? 'Namespaced' : ''}${kind.kind}${suffix}`
}

/** Operations of a kind by path. */
const operationsOf = (kind: OpenApiKind, schemas: SchemaSet, served: readonly (readonly [string, string])[]): Map<string, Operation[]> => {
  const paths = new Map<string, Operation[]>()
  const gvk = { group: kind.group, version: kind.version, kind: kind.kind }
  const has = (verb: string): boolean => kind.verbs.includes(verb)
  const add = (path: string, operation: Operation): void => void paths.set(path, [...(paths.get(path) ?? []), operation])
  const object = schemas.kind(kind)
  const collection = collectionPath(kind)
  const item = `${collection}/{name}`
  const status = has('delete') || has('deletecollection') ? schemas.meta('Status', served) : {}
  const options = has('delete') || has('deletecollection') ? schemas.meta('DeleteOptions', served) : {}

  if (has('list')) {
    const list = { method: 'get', action: 'list', gvk, query: LIST, result: schemas.list(kind), resultCodes: [200] } as const
    add(collection, { ...list, description: `list or watch objects of kind ${kind.kind}`, id: operationId('list', kind) })
    if (kind.namespaced) {
      const everywhere = operationId('list', { ...kind, namespaced: false }, 'ForAllNamespaces')
      add(`${groupPath(kind)}/${kind.resource}`, {
        ...list,
        description: `list or watch objects of kind ${kind.kind} in all namespaces`,
        id: everywhere
      })
    }
  }
  if (has('create')) {
    add(collection, {
      method: 'post',
      action: 'post',
      gvk,
      query: WRITE,
      body: object,
      result: object,
      resultCodes: [200, 201, 202],
      description: `create a ${kind.kind}`,
      id: operationId('create', kind)
    })
  }
  if (has('deletecollection')) {
    add(collection, {
      method: 'delete',
      action: 'deletecollection',
      gvk,
      query: [...DELETE, ...LIST.filter((name) => name !== 'watch' && name !== 'allowWatchBookmarks')],
      body: options,
      result: status,
      resultCodes: [200],
      description: `delete collection of ${kind.kind}`,
      id: operationId('deleteCollection', kind)
    })
  }
  if (has('get'))
    add(item, {
      method: 'get',
      action: 'get',
      gvk,
      query: [],
      result: object,
      resultCodes: [200],
      description: `read the specified ${kind.kind}`,
      id: operationId('read', kind)
    })
  if (has('update')) {
    add(item, {
      method: 'put',
      action: 'put',
      gvk,
      query: WRITE,
      body: object,
      result: object,
      resultCodes: [200, 201],
      description: `replace the specified ${kind.kind}`,
      id: operationId('replace', kind)
    })
  }
  if (has('patch')) {
    add(item, {
      method: 'patch',
      action: 'patch',
      gvk,
      query: [...WRITE, 'force'],
      body: schemas.patch(),
      bodyTypes: patchTypesOf(kind),
      result: object,
      resultCodes: [200, 201],
      description: `partially update the specified ${kind.kind}`,
      id: operationId('patch', kind)
    })
  }
  if (has('delete'))
    add(item, {
      method: 'delete',
      action: 'delete',
      gvk,
      query: DELETE,
      body: options,
      result: status,
      resultCodes: [200, 202],
      description: `delete a ${kind.kind}`,
      id: operationId('delete', kind)
    })
  for (const sub of kind.subresources ?? []) {
    for (const operation of subresourceOperations(kind, sub, schemas, object)) add(`${item}/${sub.name}`, operation)
  }
  return paths
}

const subresourceOperations = (kind: OpenApiKind, sub: DiscoverySubresource, schemas: SchemaSet, parent: Json): Operation[] => {
  const gvk = { group: sub.group ?? kind.group, version: sub.version ?? kind.version, kind: sub.kind ?? kind.kind }
  const suffix = sub.name.charAt(0).toUpperCase() + sub.name.slice(1)
  const text = { type: 'string' }
  const connect = CONNECT.has(sub.name)
  const object =
    connect || sub.name === 'log'
      ? text
      : sub.kind === undefined
        ? parent
        : (schemas.builtIn(gvk.group, gvk.version, gvk.kind) ?? { type: 'object' })
  const common = { gvk, result: object }
  const actions: Readonly<
    Record<string, { method: Method; action: string; word: string; query: readonly string[]; body?: Json; codes: readonly number[] }>
  > = {
    get: { method: 'get', action: connect ? 'connect' : 'get', word: connect ? 'connectGet' : 'read', query: [], codes: [200] },
    create: {
      method: 'post',
      action: connect ? 'connect' : 'post',
      word: connect ? 'connectPost' : 'create',
      query: connect ? [] : WRITE,
      ...(connect ? {} : { body: object }),
      codes: [200, 201, 202]
    },
    update: { method: 'put', action: 'put', word: 'replace', query: WRITE, body: object, codes: [200, 201] },
    patch: {
      method: 'patch',
      action: 'patch',
      word: 'patch',
      query: [...WRITE, 'force'],
      body: sub.verbs.includes('patch') ? schemas.patch() : {},
      codes: [200, 201]
    }
  }
  return sub.verbs.flatMap((verb): Operation[] => {
    const known = actions[verb]
    if (known === undefined) return []
    const { method, action, word, query, body, codes } = known
    return [
      {
        ...common,
        method,
        action,
        query,
        ...(body === undefined ? {} : { body }),
        ...(method === 'patch' ? { bodyTypes: patchTypesOf(kind) } : {}),
        resultCodes: codes,
        description: `${word} ${sub.name} of the specified ${kind.kind}`,
        id: operationId(word, kind, suffix)
      }
    ]
  })
}

const parameter = (name: string, where: 'query' | 'path', dialect: Dialect): Json => {
  const known = PARAMETERS[name] ?? {
    type: 'string',
    description: name === 'namespace' ? 'The namespace of the object.' : 'The name of the object.'
  }
  const type = dialect === 'v3' ? { schema: { type: known.type, uniqueItems: true } } : { type: known.type, uniqueItems: true }
  return { name, in: where, description: known.description, ...(where === 'path' ? { required: true } : {}), ...type }
}

const renderOperation = (operation: Operation, dialect: Dialect): Json => {
  const { method, body, bodyTypes = BODY_TYPES, result } = operation
  const parameters = operation.query.map((name) => parameter(name, 'query', dialect))
  const content = Object.fromEntries(bodyTypes.map((type) => [type, { schema: body }]))
  const needed = method !== 'delete'
  const responses = Object.fromEntries(
    [...operation.resultCodes, 401].map((code) => {
      if (code === 401) return [code, { description: 'Unauthorized' }]
      const description = code === 201 ? 'Created' : code === 202 ? 'Accepted' : 'OK'
      return [code, { description, ...(dialect === 'v3' ? { content: { 'application/json': { schema: result } } } : { schema: result }) }]
    })
  )
  const common = { description: operation.description, operationId: operation.id }
  const kubernetes = { 'x-kubernetes-action': operation.action, 'x-kubernetes-group-version-kind': operation.gvk }
  if (dialect === 'v3') {
    return {
      ...common,
      parameters,
      ...(body === undefined ? {} : { requestBody: { ...(needed ? { required: true } : {}), content } }),
      responses,
      ...kubernetes
    }
  }
  if (body !== undefined) parameters.unshift({ name: 'body', in: 'body', ...(needed ? { required: true } : {}), schema: body })
  return {
    ...common,
    consumes: body === undefined ? ['*/*'] : bodyTypes,
    produces: ['application/json'],
    schemes: ['https'],
    parameters,
    responses,
    ...kubernetes
  }
}

/** The `paths` object of a document about `kinds`; the schemas it refers to are added to `schemas`. */
export const pathsOf = (kinds: readonly OpenApiKind[], schemas: SchemaSet, dialect: Dialect): Json => {
  const served = kinds.map((kind) => [kind.group, kind.version] as const)
  const paths: [string, Json][] = []
  for (const kind of kinds) {
    for (const [path, operations] of operationsOf(kind, schemas, served)) {
      const shared = ['name', 'namespace'].filter((name) => path.includes(`{${name}}`)).map((name) => parameter(name, 'path', dialect))
      const rendered = operations.map((operation) => [operation.method, renderOperation(operation, dialect)] as const)
      paths.push([path, { ...Object.fromEntries(rendered), parameters: [...shared, parameter('pretty', 'query', dialect)] }])
    }
  }
  return Object.fromEntries(paths.sort(([a], [b]) => (a < b ? -1 : 1)))
}
