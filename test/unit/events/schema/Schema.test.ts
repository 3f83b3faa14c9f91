import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fieldOf, kindNames, typeNamed, typeNames, typeOfKind, type FieldSchema } from '#events/schema/Schema.ts'

const core = (name: string): ReturnType<typeof typeNamed> => typeNamed(`io.k8s.api.core.v1.${name}`)
/** A field less its description. */
const shape = (type: string, name: string): Omit<FieldSchema, 'description'> | undefined => {
  const field = fieldOf(core(type), name)
  if (field === undefined) return undefined
  const { description: _, ...rest } = field
  return rest
}

const schema = suite('Schema')

schema('finds kinds by group, version and name', () => {
  assert.is(typeOfKind('', 'v1', 'Pod')?.name, 'io.k8s.api.core.v1.Pod')
  assert.is(typeOfKind('rbac.authorization.k8s.io', 'v1', 'Role')?.name, 'io.k8s.api.rbac.v1.Role')
  assert.is(typeOfKind('authentication.k8s.io', 'v1', 'TokenRequest')?.name, 'io.k8s.api.authentication.v1.TokenRequest')
  assert.is(typeOfKind('events.k8s.io', 'v1', 'Event')?.name, 'io.k8s.api.events.v1.Event')
  assert.is(typeOfKind('', 'v1', 'Event')?.name, 'io.k8s.api.core.v1.Event')
  assert.is(typeOfKind('apps', 'v1', 'DeleteOptions')?.name, 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions')
  assert.is(typeOfKind('apps', 'v1', 'DeploymentList')?.name, 'io.k8s.api.apps.v1.DeploymentList')
  assert.is(typeOfKind('apps', 'v1beta1', 'Deployment'), undefined)
  assert.throws(() => typeNamed('constructor'), 'no schema for type constructor')
  assert.is(fieldOf(core('Pod'), 'constructor'), undefined)
})

schema('tells types of one name in two groups apart', () => {
  const refOf = (type: string, field: string): string | undefined =>
    fieldOf(typeNamed(type), field)?.items?.ref ?? fieldOf(typeNamed(type), field)?.ref
  assert.is(refOf('io.k8s.api.discovery.v1.EndpointSlice', 'ports'), 'io.k8s.api.discovery.v1.EndpointPort')
  assert.is(refOf('io.k8s.api.core.v1.EndpointSubset', 'ports'), 'io.k8s.api.core.v1.EndpointPort')
  assert.is(refOf('io.k8s.api.events.v1.Event', 'series'), 'io.k8s.api.events.v1.EventSeries')
  assert.is(refOf('io.k8s.api.core.v1.Event', 'series'), 'io.k8s.api.core.v1.EventSeries')
})

schema('refers to nothing that is not there', () => {
  const check = (field: FieldSchema, where: string): void => {
    if (field.type === 'object') assert.ok(field.ref !== undefined && typeNamed(field.ref), where)
    if (field.type === 'array' || field.type === 'map') {
      assert.ok(field.items, where)
      check(field.items, where)
    }
  }
  for (const name of typeNames()) for (const [key, field] of Object.entries(typeNamed(name).fields)) check(field, `${name}.${key}`)
  for (const [group, version, kind] of kindNames()) assert.ok(fieldOf(typeOfKind(group, version, kind) ?? core('Pod'), 'kind'), kind)
})

schema('knows the special types', () => {
  assert.equal(shape('ResourceRequirements', 'limits'), { type: 'map', items: { type: 'quantity' }, presence: 'unlessEmpty' })
  assert.equal(shape('EmptyDirVolumeSource', 'sizeLimit'), { type: 'quantity' })
  assert.equal(shape('ServicePort', 'targetPort'), { type: 'int-or-string', format: 'int-or-string', presence: 'always' })
  assert.equal(shape('Secret', 'data'), { type: 'map', items: { type: 'bytes', format: 'byte' }, presence: 'unlessEmpty' })
  assert.equal(shape('Event', 'eventTime'), { type: 'time', format: 'date-time-micro', presence: 'always' })
  assert.equal(shape('ContainerPort', 'containerPort'), { type: 'integer', format: 'int32', required: true, presence: 'always' })
  assert.equal(shape('PodSpec', 'terminationGracePeriodSeconds'), { type: 'integer', format: 'int64' })
  const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1.'
  assert.is(fieldOf(typeNamed(`${meta}ManagedFieldsEntry`), 'fieldsV1')?.type, 'any')
  assert.ok(fieldOf(typeNamed(`${meta}ListMeta`), 'continue'))
  const props =
    typeOfKind('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition') &&
    typeNamed('io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps')
  for (const name of ['$ref', 'default', 'enum', 'x-kubernetes-preserve-unknown-fields']) assert.ok(props && fieldOf(props, name), name)
})

schema('knows how lists and maps merge', () => {
  assert.equal(shape('Container', 'ports'), {
    type: 'array',
    items: { type: 'object', ref: 'io.k8s.api.core.v1.ContainerPort' },
    listType: 'map',
    listMapKeys: ['containerPort', 'protocol'],
    patchStrategy: ['merge'],
    patchMergeKey: 'containerPort',
    presence: 'unlessEmpty'
  })
  assert.is(shape('PodSpec', 'nodeSelector')?.mapType, 'atomic')
  assert.is(core('ObjectReference').mapType, 'atomic')
  assert.equal(fieldOf(typeNamed('io.k8s.api.apps.v1.DeploymentSpec'), 'strategy')?.patchStrategy, ['retainKeys'])
})

schema('keeps descriptions as plain text', () => {
  assert.match(fieldOf(core('ContainerPort'), 'protocol')?.description ?? '', 'Defaults to "TCP".')
  assert.match(core('Pod').description ?? '', /^Pod is a collection of containers/)
})

schema.run()
