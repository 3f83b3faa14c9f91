/**
 * What one definition that changes costs who reads OpenAPI: the index after it, which names each document by the hash of its content.
 *
 * `node test/bench/openapi.ts [definitions [fields [groups]]]`
 */
import { customKind } from '#events/apiextensions/customKind.ts'
import { builtInApi } from '#events/scheme.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { GroupVersions } from '#services/apiserver/openapi/GroupVersions.ts'
import { OpenApi } from '#services/apiserver/openapi/OpenApi.ts'

const DEFINITIONS = Number(process.argv[2] ?? 300)
const FIELDS = Number(process.argv[3] ?? 400)
const GROUPS = Number(process.argv[4] ?? 60)

const definition = (n: number, words: string): KubeObject => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `widget${n}s.group${n % GROUPS}.example.com` },
  spec: {
    group: `group${n % GROUPS}.example.com`,
    scope: 'Namespaced',
    names: { plural: `widget${n}s`, singular: `widget${n}`, kind: `Widget${n}`, listKind: `Widget${n}List` },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: Object.fromEntries(
              Array.from({ length: FIELDS }, (_, field) => [
                `field${field}`,
                {
                  type: 'object',
                  description: `${words} number ${field}, of which a person who reads about it wants to know what it is for.`,
                  properties: { name: { type: 'string', maxLength: 63 }, size: { type: 'integer', minimum: 0 } }
                }
              ])
            )
          }
        }
      }
    ]
  },
  status: { conditions: [{ type: 'Established', status: 'True' }], acceptedNames: { plural: `widget${n}s`, kind: `Widget${n}` } }
})

const definitions = Array.from({ length: DEFINITIONS }, (_, n) => definition(n, 'The field'))
const kinds = new Map(definitions.map((one, n) => [n, customKind(one)]))
const api = (version: number) =>
  builtInApi().withKinds(
    [...kinds.values()].filter((kind) => kind !== undefined),
    version
  )

const timed = (what: string, work: () => { readonly body: Uint8Array } | undefined): Buffer => {
  const began = performance.now()
  const answer = work()
  console.log(`${what}: ${(performance.now() - began).toFixed(1)} ms`)
  return Buffer.from(answer?.body ?? [])
}

const groupVersions = new GroupVersions('v1.34.0')
const index = (known: GroupVersions, version: number) => new OpenApi(api(version).served, known).answer({ path: '/openapi/v3' })
timed(`the first index, of ${DEFINITIONS} definitions in ${GROUPS} groups`, () => index(groupVersions, 1))
kinds.set(7, customKind(definition(7, 'The other field')))
const kept = timed('the index after one definition has changed', () => index(groupVersions, 2))
const anew = timed('the same, all documents made anew', () => index(new GroupVersions('v1.34.0'), 2))
if (!kept.equals(anew)) throw new Error('they are not the same index')
