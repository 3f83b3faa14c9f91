/** What comes to be in a namespace stands on it as it was seen; what has no place in its stream can't, and other writes need not. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { keyId, type ObjectKey } from '#events/Key.ts'
import { NamespaceLifecycle } from '#services/apiserver/admission/namespaceLifecycle.ts'
import { kindFor } from '#test/support/api.ts'

type Validate = NonNullable<(typeof NamespaceLifecycle)['validate']>

const guardsOf = (operation: 'CREATE' | 'UPDATE', apiVersion: string, kind: string): readonly unknown[] => {
  const write = { operation, kind: kindFor(apiVersion, kind), namespace: 'team', name: 'x', subresource: '' }
  const head = (key: ObjectKey): number =>
    keyId(key) === keyId({ group: '', resource: 'namespaces', namespace: '', name: 'team' }) ? 7 : 0
  const validate = NamespaceLifecycle.validate as Validate
  return (validate(write as never, { context: { head } } as never).guards ?? []).map(({ key, expected }) => [key.name, expected])
}

const guards = suite('a namespace guards what comes to be in it')
guards('a create is stored while the namespace is as it was', () => {
  assert.equal(guardsOf('CREATE', 'v1', 'Pod'), [['team', 7]])
})
guards('an update is not: what is there may change while its namespace goes', () => assert.equal(guardsOf('UPDATE', 'v1', 'Pod'), []))
guards('what lies in another stream can not be: a batch is of one', () => {
  assert.equal(guardsOf('CREATE', 'coordination.k8s.io/v1', 'Lease'), [])
  assert.equal(guardsOf('CREATE', 'v1', 'Event'), [])
})
guards('what is in no namespace has none', () => assert.equal(guardsOf('CREATE', 'v1', 'Node'), []))
guards.run()
