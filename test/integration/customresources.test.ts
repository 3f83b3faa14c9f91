/** Custom kinds as a person meets them: the real kubectl defines one, uses it in every way, and takes it away again. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startServed, type Served } from '#test/support/served.ts'

const WIDGETS = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}
    selectableFields: [{jsonPath: .spec.color}]
    additionalPrinterColumns:
    - {name: Color, type: string, jsonPath: .spec.color}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas, priority: 1}
    schema:
      openAPIV3Schema:
        type: object
        description: A widget of the test.
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1, maximum: 9, description: How large it is.}
              color: {type: string, enum: [red, green], default: red}
              replicas: {type: integer}
              ports:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, port: {type: integer}}}
              tags: {type: array, x-kubernetes-list-type: set, items: {type: string}}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
  - name: v1beta1
    served: true
    storage: false
    deprecated: true
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
`

const widget = (name: string, spec: string, more = ''): string =>
  `apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: ${name}, namespace: default}\nspec: ${spec}\n${more}`

const custom = suite('custom resources')
let served: Served

custom.before(async () => {
  served = await startServed()
})
custom.after(async () => {
  const { errors } = served.server
  await served.stop()
  assert.equal(errors, [])
})

const apply = async (text: string, ...flags: string[]): Promise<{ code: number; out: string; err: string }> =>
  served.kubectl(['apply', '-f', '-', ...flags], text)

custom('a definition is established, and its kind found by every name', async () => {
  assert.is((await apply(WIDGETS)).out, 'customresourcedefinition.apiextensions.k8s.io/widgets.example.com created')
  await served.ok('wait', '--for=condition=established', 'crd/widgets.example.com', '--timeout=10s')
  assert.match(await served.ok('api-resources', '--api-group=example.com'), /^widgets +wd +example\.com\/v1 +true +Widget$/m)
  assert.is(await served.ok('get', 'wd'), '')
  for (const word of ['widgets', 'widget', 'widgets.example.com', 'widgets.v1.example.com', 'widgets.v1beta1.example.com'])
    assert.is((await served.kubectl(['get', word])).code, 0, word)
  assert.match(await served.ok('get', 'crd'), /^widgets\.example\.com +\d{4}-/m)
})
custom('what does not fit the schema is refused with every fault and its place', async () => {
  const { code, err } = await apply(widget('bad', '{size: 12, color: blue, tags: [a, a], ports: [{port: 1}]}'))
  assert.is(code, 1)
  for (const part of [
    'spec.size: Invalid value: 12: spec.size in body should be less than or equal to 9',
    'spec.color: Unsupported value: "blue": supported values: "green", "red"',
    'spec.tags[1]: Duplicate value: "a"',
    'spec.ports[0].name: Required value'
  ])
    assert.ok(err.includes(part), `${part} is not in ${err}`)
  assert.match(
    (await apply(widget('bad', '{size: 1, colour: red, sise: 1}'))).err,
    /strict decoding error: unknown field "spec\.colour", unknown field "spec\.sise"/
  )
  assert.match(
    (await apply(widget('bad', '{size: x}'), '--validate=false')).err,
    /spec\.size: Invalid value: "string": spec\.size in body must be of type integer: "string"/
  )
})
custom('is applied again with what has changed', async () => {
  assert.is((await apply(widget('again', '{size: 1, ports: [{name: http, port: 80}]}'))).out, 'widget.example.com/again created')
  assert.is((await apply(widget('again', '{size: 2}'))).out, 'widget.example.com/again configured')
  assert.is(await served.ok('get', 'wd', 'again', '-o', 'jsonpath={.spec.size}{.spec.ports}'), '2')
  await served.ok('delete', 'wd', 'again')
})
custom('defaults, columns, selectors, patches, the status and the scale', async () => {
  assert.is((await apply(widget('a', '{size: 1, ports: [{name: http, port: 80}]}'))).out, 'widget.example.com/a created')
  assert.is((await apply(widget('b', '{size: 2, color: green}'))).out, 'widget.example.com/b created')
  assert.match(await served.ok('get', 'wd'), /^NAME +COLOR +READY\na +red +\nb +green *$/)
  assert.match(await served.ok('get', 'wd', '-o', 'wide'), /^NAME +COLOR +READY +REPLICAS\n/)
  assert.is(await served.ok('get', 'wd', '--field-selector=spec.color=green', '-o', 'name'), 'widget.example.com/b')
  assert.match((await served.kubectl(['get', 'wd', '--field-selector=spec.size=1'])).err, /field label not supported: spec\.size/)
  assert.is(
    await served.ok(
      'patch',
      'wd',
      'a',
      '--subresource=status',
      '--type=merge',
      '-p',
      '{"status":{"replicas":1,"selector":"app=a","conditions":[{"type":"Ready","status":"True"}]},"spec":{"size":5}}'
    ),
    'widget.example.com/a patched'
  )
  assert.is(
    await served.ok('get', 'wd', 'a', '-o', 'jsonpath={.spec.size} {.metadata.generation} {.status.conditions[0].status}'),
    '1 1 True'
  )
  assert.is(await served.ok('scale', 'wd', 'a', '--replicas=4'), 'widget.example.com/a scaled')
  assert.is(await served.ok('get', 'wd', 'a', '-o', 'jsonpath={.spec.replicas} {.metadata.generation}'), '4 2')
  assert.is(
    await served.ok('patch', 'wd', 'a', '--type=json', '-p', '[{"op":"replace","path":"/spec/size","value":3}]'),
    'widget.example.com/a patched'
  )
  assert.match(
    (await served.kubectl(['patch', 'wd', 'a', '--type=strategic', '-p', '{"spec":{"size":3}}'])).err,
    /strategic merge patch is not supported|unknown format/
  )
  assert.match(await served.ok('describe', 'wd', 'a'), /Size: +3/)
  assert.match(await served.ok('get', 'all', '-n', 'default'), /widget\.example\.com\/a/)
})
custom('explains its fields', async () => {
  const text = await served.ok('explain', 'widget.spec')
  assert.match(text, /GROUP: +example\.com/)
  assert.match(text, /size\t<integer> -required-\n +How large it is\./)
  assert.match(text, /color\t<string>\n +enum: /)
  assert.match(text, /ports\t<\[\]Object>/)
})
custom('applies on the server by the lists of its schema', async () => {
  assert.is(
    (await apply(widget('s', '{size: 1, ports: [{name: http, port: 80}], tags: [p]}'), '--server-side', '--field-manager=one')).out,
    'widget.example.com/s serverside-applied'
  )
  assert.is(
    (await apply(widget('s', '{size: 1, ports: [{name: https, port: 443}], tags: [q]}'), '--server-side', '--field-manager=two')).out,
    'widget.example.com/s serverside-applied'
  )
  assert.is(await served.ok('get', 'wd', 's', '-o', 'jsonpath={.spec.ports[*].name} {.spec.tags[*]}'), 'http https p q')
  assert.match(
    (await apply(widget('s', '{size: 2}'), '--server-side', '--field-manager=two')).err,
    /conflict with "one".*\.spec\.size|Apply failed with 1 conflict: conflict with "one": \.spec\.size/s
  )
  assert.is((await apply(widget('s', '{size: 1, tags: [q]}'), '--server-side', '--field-manager=two')).code, 0)
  assert.is(await served.ok('get', 'wd', 's', '-o', 'jsonpath={.spec.ports[*].name}'), 'http')
})
custom('is served in another version, with a warning, from the same stored object', async () => {
  const { out, err } = await served.kubectl(['get', 'widgets.v1beta1.example.com', 'a', '-o', 'jsonpath={.apiVersion} {.spec.size}'])
  assert.is(out, 'example.com/v1beta1 3')
  assert.match(err, /example\.com\/v1beta1 Widget is deprecated/)
  assert.is(
    await served.ok('patch', 'widgets.v1beta1.example.com', 'a', '--type=merge', '-p', '{"spec":{"size":4,"more":1}}'),
    'widget.example.com/a patched'
  )
  assert.is(await served.ok('get', 'wd', 'a', '-o', 'jsonpath={.apiVersion} {.spec.size} {.spec.more}'), 'example.com/v1 4 ')
})
custom('ends: the definition takes its objects and its watches along, and a past moment still knows both', async () => {
  const before = JSON.parse((await served.server.send({ method: 'GET', path: '/apis/example.com/v1/widgets' })).text) as {
    metadata: { resourceVersion: string }
    items: unknown[]
  }
  const watch = served.begin(['get', 'wd', '--watch-only', '--output-watch-events', '-o', 'name'])
  let told = ''
  watch.stdout?.on('data', (chunk: Buffer) => (told += chunk.toString()))
  await served.until('the watch is told something', async () => {
    await served.ok('annotate', 'wd', 'b', `tick=${Date.now()}`, '--overwrite')
    return told !== ''
  })
  assert.is(
    await served.ok('delete', 'crd', 'widgets.example.com'),
    'customresourcedefinition.apiextensions.k8s.io "widgets.example.com" deleted'
  )
  await watch
  // Nothing was done to these but that they went.
  for (const name of ['a', 's']) assert.ok(told.includes(`widget.example.com/${name}\n`), told)
  assert.is(await served.ok('api-resources', '--api-group=example.com', '--no-headers'), '')
  // From what kubectl remembers, or from what it asks anew.
  assert.match(
    (await served.kubectl(['get', 'wd'])).err,
    /the server (doesn't have a resource type "wd"|could not find the requested resource)/
  )
  assert.is((await served.server.send({ method: 'GET', path: '/apis/example.com/v1/widgets' })).code, 404)
  assert.is((await served.server.send({ method: 'GET', path: '/apis/example.com/v1' })).code, 404)
  const past = await served.server.send({ method: 'GET', path: `/at/${before.metadata.resourceVersion}/apis/example.com/v1/widgets` })
  assert.is(past.code, 200, past.text)
  assert.is((JSON.parse(past.text) as { items: unknown[] }).items.length, before.items.length)
})
custom.run()
