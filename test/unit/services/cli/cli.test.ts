/** What the command line makes of words, and how it prints. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { objectsOf, refusalText } from '#services/cli/commands/apply.ts'
import { startOf } from '#services/cli/commands/follow.ts'
import { changeText, factOf } from '#services/cli/commands/history.ts'
import { kindOfWord, objectOfWords, pathOf, printedName } from '#services/cli/resources.ts'
import { short, table, took } from '#services/cli/print.ts'
import { builtIns } from '#test/support/builtIns.ts'

const cli = suite('the command line')

cli('knows kinds by plural, singular, short name and group', () => {
  for (const word of ['deployments', 'deployment', 'deploy', 'Deployment', 'deployments.apps'])
    assert.is(kindOfWord(builtIns, word).kind, 'Deployment')
  assert.throws(() => kindOfWord(builtIns, 'foo'), /the server doesn't have a resource type "foo"/)
})
cli('takes KIND/NAME and KIND NAME', () => {
  assert.is(objectOfWords(builtIns, ['deploy/web']).name, 'web')
  assert.is(objectOfWords(builtIns, ['deploy', 'web']).name, 'web')
  assert.throws(() => objectOfWords(builtIns, ['deploy']), /name one object/)
  assert.is(printedName(kindOfWord(builtIns, 'deploy'), 'web'), 'deployment.apps/web')
})
cli('builds paths', () => {
  assert.is(pathOf(kindOfWord(builtIns, 'deploy'), 'default', 'web'), '/apis/apps/v1/namespaces/default/deployments/web')
  assert.is(pathOf(kindOfWord(builtIns, 'nodes'), 'default'), '/api/v1/nodes')
  assert.is(pathOf(kindOfWord(builtIns, 'pods'), undefined), '/api/v1/pods')
})
cli('reads several documents and lists', () => {
  const text =
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, metadata: {name: b}}]\n'
  assert.equal(
    objectsOf(text, 'x').map(({ metadata }) => metadata.name),
    ['a', 'b']
  )
  assert.throws(() => objectsOf('a: [', 'x'), /error parsing x/)
  assert.throws(() => objectsOf('a: 1', 'x'), /apiVersion and kind/)
})
cli("prints refusals in kubectl's words", () => {
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' } as const
  assert.is(
    refusalText({ ...status, reason: 'NotFound', message: 'namespaces "x" not found' }, 'f.yaml'),
    'Error from server (NotFound): error when applying "f.yaml": namespaces "x" not found'
  )
  assert.match(
    refusalText(
      { ...status, reason: 'Invalid', details: { kind: 'Pod', name: 'p', causes: [{ field: 'spec', message: 'Required value' }] } },
      'f'
    ),
    /The Pod "p" is invalid: \n\* spec: Required value/
  )
})
cli('pads columns as kubectl does', () => {
  assert.is(
    table(
      ['NAME', 'AGE'],
      [
        ['web', '5s'],
        ['longer-name', '1d']
      ]
    ),
    'NAME          AGE\nweb           5s\nlonger-name   1d'
  )
})
cli('says how long things took, and cuts long values', () => {
  assert.equal([took(450), took(3_200), took(125_000)], ['450 ms', '3.2 s', '2 m 5 s'])
  assert.is(short({ a: 'x'.repeat(100) }, 10).length, 10)
})
cli('words changes and facts', () => {
  assert.is(changeText({ path: 'spec.replicas', before: 2, after: 3 }), 'spec.replicas: 2 → 3')
  assert.is(changeText({ path: 'spec.a', before: 2 }), 'spec.a removed')
  assert.is(factOf('reckon.pod.deletion-requested.v1'), 'deletion-requested')
})
cli('places a new cursor', () => {
  assert.equal(startOf('12', 0), { sequence: 12 })
  assert.equal(startOf('-5m', 300_000), { time: '1970-01-01T00:00:00.000Z' })
  assert.equal(startOf('start', 0), { at: 'start' })
  assert.equal(startOf(undefined, 0), { at: 'now' })
  assert.throws(() => startOf('yesterday', 0), /--from yesterday/)
})
cli.run()
