/** Events as a person asks for them: the real kubectl, by either group's name. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startServed, type Served } from '#test/support/served.ts'

const NOTICE = `
apiVersion: events.k8s.io/v1
kind: Event
metadata: {name: two, namespace: default}
eventTime: "2026-01-01T00:00:00.000000Z"
regarding: {kind: Pod, namespace: default, name: web}
reason: Pulled
note: here
type: Normal
action: Pulling
reportingController: example.com/agent
reportingInstance: a
`

const events = suite('Events with kubectl')
let served: Served

events.before(async () => {
  served = await startServed()
  const about = { kind: 'Pod', namespace: 'default', name: 'web', apiVersion: 'v1' }
  const made = await served.server.json('POST', '/api/v1/namespaces/default/events', {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'one' },
    involvedObject: about,
    reason: 'Started',
    message: 'it runs',
    type: 'Normal',
    source: { component: 'kubelet' },
    firstTimestamp: '2026-01-01T00:00:00Z',
    lastTimestamp: '2026-01-01T00:01:00Z',
    count: 3
  })
  assert.is(made.code, 201)
})
events.after(async () => {
  const { errors } = served.server
  await served.stop()
  assert.equal(errors, [])
})

events('are the same under every name', async () => {
  const names = ['events', 'ev', 'events.v1.', 'events.events.k8s.io', 'events.v1.events.k8s.io']
  const outputs = await Promise.all(names.map((word) => served.ok('get', word)))
  for (const output of outputs) assert.match(output, /^\S+ +Normal +Started +pod\/web +it runs$/m)
  assert.match(await served.ok('get', 'events', '-o', 'yaml'), /^- apiVersion: v1$/m)
  assert.match(await served.ok('get', 'events.events.k8s.io', '-o', 'yaml'), /^- apiVersion: events\.k8s\.io\/v1$/m)
  assert.match(await served.ok('events'), /Started/)
  assert.match(await served.ok('api-resources', '--api-group=events.k8s.io'), /^events +ev +events\.k8s\.io\/v1 +true +Event$/m)
})
events('are explained, edited and deleted by the newer name', async () => {
  assert.match(await served.ok('explain', 'events.regarding', '--api-version=events.k8s.io/v1'), /FIELD: regarding/)
  await served.ok('label', 'events.events.k8s.io/one', 'seen=yes')
  assert.is(await served.ok('get', 'events', '-l', 'seen=yes', '-o', 'name'), 'event/one')
  const applied = await served.kubectl(['apply', '-f', '-'], NOTICE)
  assert.equal([applied.out, applied.err], ['event.events.k8s.io/two created', ''])
  assert.is(await served.ok('get', 'event', 'two', '-o', 'jsonpath={.message}'), 'here')
  await served.ok('delete', 'events.events.k8s.io', '--all')
  assert.is(await served.ok('get', 'events', '-o', 'name'), '')
})
events.run()
