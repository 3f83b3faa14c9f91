/** The generated types say what the schema says. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { declarations } from '#ops/schemaTypes.ts'
import type { TypeSchema } from '#events/schema/Schema.ts'

const types = suite('generated types')
const META = { type: 'object', ref: 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' } as const
const POD = 'io.k8s.api.core.v1.Pod'
const given: Record<string, Omit<TypeSchema, 'name'>> = {
  [POD]: {
    fields: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: META,
      spec: { type: 'object', ref: 'io.k8s.api.core.v1.PodSpec' }
    }
  },
  'io.k8s.api.core.v1.PodSpec': {
    fields: {
      containers: { type: 'array', required: true, items: { type: 'object', ref: 'io.k8s.api.apps.v1.Thing' } },
      limits: { type: 'map', items: { type: 'quantity' } },
      ports: { type: 'array', items: { type: 'int-or-string' } },
      free: { type: 'any' },
      'x-odd': { type: 'boolean' }
    }
  },
  'io.k8s.api.apps.v1.Thing': { fields: { metadata: META, count: { type: 'integer' } } }
}

types('are one file per group and version, which refer to each other', () => {
  const files = declarations(given, (name) => name === POD)
  assert.equal([...files.keys()], ['core.v1.ts', 'apps.v1.ts'])
  assert.is(
    files.get('core.v1.ts'),
    `/** The types of core.v1, made by ops/generateSchema.ts. */
import type { KubeObject } from '#events/KubeObject.ts'
import type * as apps_v1 from './apps.v1.ts'

export interface Pod extends KubeObject {
  spec: PodSpec
}

export interface PodSpec {
  containers: apps_v1.Thing[]
  limits?: Record<string, string>
  ports?: (number | string)[]
  free?: unknown
  "x-odd"?: boolean
}
`
  )
  assert.match(
    files.get('apps.v1.ts') ?? '',
    /^import type \{ ObjectMeta \} .*\n\nexport interface Thing \{\n  metadata\?: ObjectMeta\n  count\?: number\n\}\n$/m
  )
})
types.run()
