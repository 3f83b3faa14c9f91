/** TypeScript declarations of the generated schema: the types say exactly what is served, for they are made of the same data. Plain. */
import type { FieldSchema, TypeSchema } from '#events/schema/Schema.ts'

/** Without these no object is stored: validation asks for them, or for something in them. */
const STORED = new Set([
  'CustomResourceDefinition.spec',
  'Deployment.spec',
  'IPAddress.spec',
  'Pod.spec',
  'PodTemplateSpec.spec',
  'ReplicaSet.spec',
  'ReplicaSetSpec.template',
  'Service.spec',
  'ServiceCIDR.spec'
])

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'

/** `io.k8s.api.core.v1.PodSpec` is `PodSpec` of `core.v1`. */
const placeOf = (name: string): readonly [file: string, local: string] => {
  const [local = '', version, group] = name.split('.').reverse()
  return [`${group}.${version}`, local]
}

const aliasOf = (file: string): string => file.replace('.', '_')

interface Written {
  readonly file: string
  /** Other files that are referred to. */
  readonly imports: Set<string>
}

const typeText = (field: FieldSchema, to: Written): string => {
  switch (field.type) {
    case 'object': {
      if (field.ref === undefined) return 'Record<string, unknown>'
      // One for all kinds of objects, so that what reads metadata need not know the kind.
      if (field.ref === META) return 'ObjectMeta'
      const [file, local] = placeOf(field.ref)
      if (file === to.file) return local
      to.imports.add(file)
      return `${aliasOf(file)}.${local}`
    }
    case 'array':
      return `${grouped(typeText(field.items ?? { type: 'any' }, to))}[]`
    case 'map':
      return `Record<string, ${typeText(field.items ?? { type: 'any' }, to)}>`
    case 'integer':
    case 'number':
      return 'number'
    case 'boolean':
      return 'boolean'
    case 'int-or-string':
      return 'number | string'
    case 'any':
      return 'unknown'
    default:
      return 'string'
  }
}

const grouped = (text: string): string => (text.includes(' ') ? `(${text})` : text)
const keyText = (key: string): string => (/^[A-Za-z_]\w*$/.test(key) ? key : JSON.stringify(key))

/** What every object has is in `KubeObject`. */
const HEAD = new Set(['apiVersion', 'kind', 'metadata'])

/** By file name: `core.v1.ts` and so on. `isKind`: the type is of an object with a place of its own. */
export const declarations = (
  types: Readonly<Record<string, Omit<TypeSchema, 'name'>>>,
  isKind: (name: string) => boolean
): ReadonlyMap<string, string> => {
  const bodies = new Map<string, { readonly to: Written; readonly lines: string[] }>()
  for (const [name, { fields }] of Object.entries(types)) {
    if (name === META) continue
    const [file, local] = placeOf(name)
    let body = bodies.get(file)
    if (body === undefined) bodies.set(file, (body = { to: { file, imports: new Set() }, lines: [] }))
    const { to, lines } = body
    const isObject = isKind(name) && fields['metadata']?.ref === META
    lines.push(`export interface ${local}${isObject ? ' extends KubeObject' : ''} {`)
    for (const [key, field] of Object.entries(fields)) {
      if (isObject && HEAD.has(key)) continue
      const isThere = field.required === true || STORED.has(`${local}.${key}`)
      lines.push(`  ${keyText(key)}${isThere ? '' : '?'}: ${typeText(field, to)}`)
    }
    lines.push('}', '')
  }
  return new Map([...bodies].map(([file, { to, lines }]) => [`${file}.ts`, fileText(file, to, lines)]))
}

const fileText = (file: string, { imports }: Written, lines: readonly string[]): string => {
  const text = lines.join('\n')
  const shared = ['KubeObject', 'ObjectMeta'].filter((name) => new RegExp(`\\b${name}\\b`).test(text))
  return [
    `/** The types of ${file}, made by ops/generateSchema.ts. */`,
    ...(shared.length === 0 ? [] : [`import type { ${shared.join(', ')} } from '#events/KubeObject.ts'`]),
    ...[...imports].sort().map((other) => `import type * as ${aliasOf(other)} from './${other}.ts'`),
    '',
    text
  ].join('\n')
}
