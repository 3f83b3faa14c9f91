/** CustomResourceDefinitions: what is refused of one, whose names are whose, and the kinds they make. */
import { at, setAt } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CustomResourceDefinition } from '#events/apiextensions/CustomResourceDefinition.ts'
import { customKind } from '#events/apiextensions/customKind.ts'
import { statusWith, takenBy } from '#events/apiextensions/names.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { fieldErrorBody } from '#events/Refusal.ts'
import { builtIns } from '#test/support/builtIns.ts'
import { definitionOf, versionOf } from '#test/support/served.ts'

const NOW = '2030-01-01T00:00:00Z'
const defined = (definition: KubeObject): KubeObject => {
  const object = structuredClone(definition)
  CustomResourceDefinition.default?.(object)
  return object
}
const faults = (definition: KubeObject): string[] =>
  (CustomResourceDefinition.validate?.(defined(definition)) ?? []).map((error) => `${error.field}: ${fieldErrorBody(error)}`)
const established = (definition: KubeObject, sequence = 5): KubeObject => {
  const object = defined(definition)
  object.metadata.resourceVersion = String(sequence)
  object['status'] = statusWith(object, takenBy([], [], []), NOW)
  return object
}

const definitions = suite('definitions')

definitions('a good one has no faults, and its names are filled in', () => {
  assert.equal(faults(definitionOf('Widget', [versionOf('v1', {})])), [])
  assert.equal(at(defined(definitionOf('Widget', [versionOf('v1', {})])), 'spec.names'), {
    plural: 'widgets',
    kind: 'Widget',
    singular: 'widget',
    listKind: 'WidgetList'
  })
})
definitions('tells what is wrong with names, versions and paths', () => {
  const broken = definitionOf('Widget', [versionOf('v1', {}), versionOf('v1', {})])
  broken.metadata.name = 'other.example.com'
  assert.equal(faults(broken), [
    'metadata.name: Invalid value: "other.example.com": must be spec.names.plural+"."+spec.group',
    'spec.versions: Invalid value: ["v1","v1"]: must contain unique version names',
    'spec.versions: Invalid value: ["v1","v1"]: must have exactly one version marked as storage version'
  ])
  const scaled = versionOf(
    'v1',
    {},
    {
      subresources: { scale: { specReplicasPath: '.size', statusReplicasPath: '.status[0]' } },
      additionalPrinterColumns: [{ name: 'A', type: 'string', jsonPath: 'spec' }],
      selectableFields: [{ jsonPath: '.spec.none' }]
    }
  )
  assert.equal(
    faults(definitionOf('Widget', [scaled])).map((line) => line.slice(0, line.indexOf(':'))),
    [
      'spec.subresources.scale.specReplicasPath',
      'spec.subresources.scale.statusReplicasPath',
      'spec.additionalPrinterColumns[0].JSONPath',
      'spec.selectableFields[0].jsonPath'
    ]
  )
})
definitions('promises nothing that is not kept: conversion by webhook is refused, rules in CEL are told of', () => {
  const conversion = { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v1'], clientConfig: { url: 'https://a.example' } } }
  const converted = (versions: Parameters<typeof definitionOf>[1]): KubeObject => {
    const definition = definitionOf('Widget', versions)
    setAt(definition, 'spec.conversion', conversion)
    return definition
  }
  assert.equal(faults(converted([versionOf('v1', {}), versionOf('v2', {}, { storage: false })])), [
    'spec.conversion.strategy: Forbidden: versions are not converted by webhooks yet; use None, or one version'
  ])
  assert.equal(faults(converted([versionOf('v1', {})])), [])
  const warningsOf = (fields: Record<string, unknown>): number =>
    CustomResourceDefinition.warnings?.(definitionOf('Widget', [versionOf('v1', fields)]) as never).length ?? 0
  assert.is(warningsOf({ 'x-kubernetes-validations': [{ rule: 'self.a > 1' }] }), 1)
  assert.is(warningsOf({}), 0)
})
definitions('of groups that the cluster keeps for itself there is none', () => {
  for (const group of ['reckon.io', 'a.reckon.io']) {
    const own = definitionOf('NodePort', [versionOf('v1', {})])
    setAt(own, 'spec.group', group)
    own.metadata.name = `nodeports.${group}`
    assert.equal(faults(own), [`spec.group: Forbidden: ${group} is kept by the cluster for itself`])
  }
})
definitions('asks for a structural schema, and for defaults that fit it', () => {
  const properties = {
    a: {},
    b: { type: 'array' },
    c: { type: 'string', default: 3 },
    d: { type: 'object', additionalProperties: false },
    e: { type: 'array', items: { type: 'object' }, 'x-kubernetes-list-type': 'map' }
  }
  const PATH = 'spec.validation.openAPIV3Schema.properties[spec].properties'
  assert.equal(
    faults(definitionOf('Widget', [versionOf('v1', { properties: { a: {}, b: properties.b, d: properties.d, e: properties.e } })])),
    [
      `${PATH}[a].type: Required value: must not be empty for specified object fields`,
      `${PATH}[b].items: Required value: must be specified`,
      `${PATH}[d].additionalProperties: Forbidden: additionalProperties cannot be set to false`,
      `${PATH}[e].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map`
    ]
  )
  assert.match(
    faults(definitionOf('Widget', [versionOf('v1', { properties: { c: properties.c } })])).join(),
    /properties\[c\]\.default: Invalid value: 3/
  )
  assert.match(
    faults(definitionOf('Widget', [versionOf('v1', { anyOf: [{ properties: { z: { type: 'string' } } }] })])).join(),
    /anyOf\[0\]\.properties\[z\]\.type: Forbidden: must be empty to be structural/
  )
})
definitions('a name belongs to who had it first, or asked first', () => {
  const first = definitionOf('Widget', [versionOf('v1', {})], { names: { shortNames: ['w'] } })
  first.metadata.creationTimestamp = '2029-01-01T00:00:00Z'
  const second = defined(definitionOf('Wonder', [versionOf('v1', {})], { names: { shortNames: ['w'] } }))
  const conditions = (status: ReturnType<typeof statusWith>): string[] =>
    (status.conditions ?? []).map(({ type, status: is, reason }) => `${type}=${is} ${reason}`)
  assert.equal(conditions(statusWith(second, takenBy([], [], []), NOW)), [
    'NamesAccepted=True NoConflicts',
    'Established=True InitialNamesAccepted'
  ])
  assert.equal(conditions(statusWith(second, takenBy([established(first)], [], []), NOW)), [
    'NamesAccepted=False ShortNamesConflict',
    'Established=False NotAccepted'
  ])
  // Nobody has judged the first yet: it comes first all the same.
  assert.equal(conditions(statusWith(second, takenBy([defined(first)], [defined(first)], []), NOW)), [
    'NamesAccepted=False ShortNamesConflict',
    'Established=False NotAccepted'
  ])
  const again = established(first)
  assert.is(statusWith(again, takenBy([], [], []), NOW), again['status'])
})
definitions('each name is judged by itself, and what is built in has its own', () => {
  const wanted = defined(definitionOf('Widget', [versionOf('v1', {})]))
  const other = (names: Record<string, unknown>): KubeObject => ({
    ...wanted,
    metadata: { name: 'other' },
    status: { acceptedNames: { plural: 'others', singular: 'other', kind: 'Other', listKind: 'OtherList', ...names } }
  })
  const judged = (taken: ReturnType<typeof takenBy>): string => {
    const { conditions, acceptedNames } = statusWith(wanted, taken, NOW)
    const { status, reason, message } = (conditions ?? []).find(({ type }) => type === 'NamesAccepted') ?? {}
    return `${status} ${reason}: ${message}; ${Object.keys(acceptedNames ?? {})
      .sort()
      .join(' ')}`
  }
  const besides = (missing: string): string => ['kind', 'listKind', 'plural', 'singular'].filter((name) => name !== missing).join(' ')
  for (const [names, reason, name, word] of [
    [{ singular: 'widgets' }, 'PluralConflict', 'plural', 'widgets'],
    [{ shortNames: ['widget'] }, 'SingularConflict', 'singular', 'widget'],
    [{ listKind: 'Widget' }, 'KindConflict', 'kind', 'Widget'],
    [{ kind: 'WidgetList' }, 'ListKindConflict', 'listKind', 'WidgetList']
  ] as const)
    assert.is(judged(takenBy([other(names)], [], [])), `False ${reason}: "${word}" is already in use; ${besides(name)}`)
  const pod = builtIns.kindOf({ group: '', resource: 'pods' })
  assert.ok(pod)
  const same = defined(definitionOf('Pod', [versionOf('v1', {})]))
  assert.match(statusWith(same, takenBy([], [], [pod]), NOW).conditions?.[0]?.message ?? '', /^"PodList" is already in use$/)
})
definitions('one that is established stays so when it asks for another name that is taken', () => {
  const before = established(definitionOf('Widget', [versionOf('v1', {})]))
  const renamed = structuredClone(before)
  setAt(renamed, 'spec.names.singular', 'gadget')
  const gadget = established(definitionOf('Gadget', [versionOf('v1', {})]))
  const { conditions, acceptedNames } = statusWith(renamed, takenBy([gadget], [], []), NOW)
  assert.equal(
    (conditions ?? []).map(({ type, status }) => `${type}=${status}`),
    ['NamesAccepted=False', 'Established=True']
  )
  assert.is(acceptedNames?.singular, 'widget')
})
definitions('versions that objects were stored in are remembered, and stay until somebody takes them off the list', () => {
  const first = established(definitionOf('Widget', [versionOf('v1', {})]))
  const second = structuredClone(first)
  setAt(second, 'spec.versions', [versionOf('v1', {}, { storage: false }), versionOf('v2', {})])
  const status = statusWith(second, takenBy([], [], []), NOW)
  assert.equal(status.storedVersions, ['v1', 'v2'])
  second['status'] = status
  const changes = (object: KubeObject, old: KubeObject, subresource = ''): string[] =>
    (CustomResourceDefinition.validateUpdate?.(object, old, subresource) ?? []).map((error) => `${error.field}: ${fieldErrorBody(error)}`)
  assert.equal(changes(second, first), [])
  const third = structuredClone(second)
  setAt(third, 'spec.versions', [versionOf('v2', {})])
  assert.match(
    changes(third, second).join(),
    /^status\.storedVersions\[0\]: Invalid value: "v1": missing from spec\.versions; v1 was previously a storage version, and must remain/
  )
  const migrated = structuredClone(second)
  setAt(migrated, 'status.storedVersions', ['v2'])
  assert.equal(changes(migrated, second, 'status'), [])
  assert.equal(changes({ ...third, status: migrated['status'] } as KubeObject, migrated), [])
  const wrong = structuredClone(second)
  setAt(wrong, 'status.storedVersions', ['v1'])
  assert.match(changes(wrong, second, 'status').join(), /must have the storage version v2/)
})
definitions('one that is not established serves nothing, and none takes what is built in', () => {
  assert.is(customKind(defined(definitionOf('Widget', [versionOf('v1', {})]))), undefined)
  const api = builtIns.with([established(definitionOf('Widget', [versionOf('v1', {})]))], 5)
  assert.is(api.kindOfObject({ apiVersion: 'example.com/v1', kind: 'Widget' })?.resource, 'widgets')
  assert.is(builtIns.kindOf({ group: 'example.com', resource: 'widgets' }), undefined)
  const pods = definitionOf('Pod', [versionOf('v1', {})])
  ;(pods['spec'] as { group: string }).group = ''
  assert.is(builtIns.with([established(pods)], 5).kindOf({ group: '', resource: 'pods' }), builtIns.kindOf({ group: '', resource: 'pods' }))
})
definitions('the status of its objects changes nothing of the metadata, and the objects nothing of the status', () => {
  const widget = customKind(established(definitionOf('Widget', [versionOf('v1', {}, { subresources: { status: {} } })])))
  const object = (label: string, spec: number, phase: string): KubeObject => ({
    apiVersion: 'example.com/v1',
    kind: 'Widget',
    metadata: { name: 'w', labels: { label } },
    spec: { spec },
    status: { phase }
  })
  const written = (subresource: string): KubeObject => {
    const after = object('new', 2, 'new')
    widget?.prepareForUpdate?.(after, object('old', 1, 'old'), subresource, { now: NOW })
    return after
  }
  assert.equal(written('status'), object('old', 1, 'new'))
  assert.equal(written(''), object('new', 2, 'old'))
})
definitions('is served in its versions, of which one is stored and some may not be asked for', () => {
  const versions = [
    versionOf('v1', { properties: { a: { type: 'integer', default: 1 } } }, { served: false }),
    versionOf('v2', { 'x-kubernetes-preserve-unknown-fields': true }, { storage: false })
  ]
  const api = builtIns.with([established(definitionOf('Widget', versions))], 5)
  const ref = { group: 'example.com', resource: 'widgets' }
  const stored = api.kindOf(ref)
  assert.equal(
    [stored?.version, api.kindOf(ref, 'v1'), api.kindOf(ref, 'v2')?.version, api.kindOf(ref, 'v3')],
    ['v1', undefined, 'v2', undefined]
  )
  assert.equal(
    api.served.filter(({ group }) => group === 'example.com').map(({ version }) => version),
    ['v2']
  )
  assert.is(stored === undefined ? undefined : api.preferred(stored).version, 'v2')
  const object = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'a', resourceVersion: '9' }, spec: { a: 1 } }
  const v2 = api.kindOf(ref, 'v2')
  assert.equal(v2?.fromStorage?.(object), { ...object, apiVersion: 'example.com/v2' })
  // What the stored version has no field for is lost, and its defaults are filled in.
  assert.equal(v2?.toStorage?.({ ...object, apiVersion: 'example.com/v2', spec: { b: 2 } }), { ...object, spec: { a: 1 } })
  // Written since the definition is what it is: nothing to do. Before: its default is missing.
  assert.is(stored?.fromStorage?.(object), object)
  assert.equal(stored?.fromStorage?.({ ...object, metadata: { name: 'a', resourceVersion: '3' }, spec: { old: 1 } })['spec'], { a: 1 })
})
definitions('a version that is no longer served is not there for who asks for it', () => {
  const api = builtIns.with(
    [established(definitionOf('Widget', [versionOf('v1', {}), versionOf('v2', {}, { storage: false, served: false })]))],
    5
  )
  const ref = { group: 'example.com', resource: 'widgets' }
  assert.equal(
    [api.kindOf(ref, 'v1')?.version, api.kindOf(ref, 'v2'), api.kindNamed('example.com', 'v2', 'Widget')],
    ['v1', undefined, undefined]
  )
})
definitions.run()
