/** A deleted Secret is readable in history until its key goes; then by nobody, from nothing: not from memory, not from the disk. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connectNats } from '#ops/nats/connect.ts'
import { startPlane, type Plane } from '#test/support/plane.ts'

const secrets = suite('Secrets in history')
const PATH = '/api/v1/namespaces/default/secrets'
const WORDS = ['first-word-of-the-secret', 'second-word-of-the-secret']

let plane: Plane
secrets.before(async () => {
  plane = await startPlane()
  await plane.start()
  await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
})
secrets.after(() => plane.remove())

const secret = (word: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'key', annotations: { note: `about ${word}` } },
  stringData: { word }
})
const versionIn = (body: string): string => (JSON.parse(body) as { metadata: { resourceVersion: string } }).metadata.resourceVersion
const asked = async <Answer>(subject: string, body: unknown): Promise<Answer> => {
  const connection = await connectNats(plane.home, plane.config, 'admin')
  try {
    return (await connection.request(subject, typeof body === 'string' ? body : JSON.stringify(body), { timeout: 10_000 })).json<Answer>()
  } finally {
    await connection.close()
  }
}
/** Everything a reader can be told of the Secret's versions: the past, lists of it, and a watch from before. */
const told = async (versions: readonly string[]): Promise<string> => {
  const answers: string[] = []
  for (const version of versions)
    for (const path of [
      `/at/${version}${PATH}/key`,
      `/at/${version}${PATH}`,
      `/at/${version}/api/v1/secrets`,
      `/at/${version}${PATH}?watch=1&timeoutSeconds=1`
    ])
      answers.push((await plane.call('GET', path)).body)
  answers.push((await plane.call('GET', `${PATH}?watch=1&timeoutSeconds=1&resourceVersion=${Number(versions[0]) - 1}`)).body)
  return answers.join('\n')
}
const forms = WORDS.flatMap((word) => [word, btoa(word)])
const found = (text: string): string[] => forms.filter((form) => text.includes(form))
/** What lies open in a folder's files. */
const onDisk = (folder: string): string[] => [
  ...new Set(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((file) => join(folder, file))
      .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile() === true)
      .flatMap((file) => found(readFileSync(file, 'latin1')))
  )
]

secrets('of which nothing lies open on disk, are read in the past until they are erased, and then by nobody', async () => {
  const versions: string[] = []
  versions.push(versionIn((await plane.call('POST', PATH, secret(WORDS[0] as string))).body))
  versions.push(versionIn((await plane.call('PUT', `${PATH}/key`, secret(WORDS[1] as string))).body))
  assert.equal(onDisk(plane.home), [])
  const early = await asked<{ status: { reason: string; message: string } }>('erase.admin', { namespace: 'default', name: 'key' })
  assert.equal([early.status.reason, /delete it first/.test(early.status.message)], ['Conflict', true])
  assert.is((await plane.call('DELETE', `${PATH}/key`)).status, 200)
  assert.equal(found(await told(versions)), forms)
  const { erased } = await asked<{ erased: readonly { uid: string; deleted: string }[] }>('erase.admin', {
    namespace: 'default',
    name: 'key'
  })
  assert.is(erased.length, 1)
  const after = await told(versions)
  assert.equal(found(after), [])
  assert.match(after, '"reckon.io/erased":"true"')
  assert.equal(onDisk(plane.home), [])
  const again = await asked<{ status: { reason: string } }>('erase.admin', { namespace: 'default', name: 'key' })
  assert.is(again.status.reason, 'NotFound')
  // Nor after a start, when everything is read anew.
  await plane.kill()
  await plane.start()
  await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
  assert.equal(found(await told(versions)), [])
})

secrets('of a name that is taken again are erased without the one that is there', async () => {
  await plane.call('POST', PATH, secret('third'))
  await plane.call('DELETE', `${PATH}/key`)
  const { body } = await plane.call('POST', PATH, secret('fourth'))
  const { erased } = await asked<{ erased: readonly { uid: string }[] }>('erase.admin', { namespace: 'default', name: 'key' })
  const { uid } = (JSON.parse(body) as { metadata: { uid: string } }).metadata
  assert.equal(
    erased.map((one) => one.uid === uid),
    [false]
  )
  assert.match((await plane.call('GET', `${PATH}/key`)).body, btoa('fourth'))
})

secrets('are erased for a well-formed word only, and every word is in the audit trail', async () => {
  for (const body of [
    '',
    '[]',
    'null',
    '{"namespace":"default"}',
    '{"namespace":1,"name":"a"}',
    `{"namespace":"default","name":"${'a'.repeat(5_000)}"}`
  ])
    assert.is(
      (await asked<{ status: { code: number } }>('erase.admin', body)).status.code,
      body.length > 5_000 ? 413 : 400,
      body.slice(0, 40)
    )
  const connection = await connectNats(plane.home, plane.config, 'keeper')
  try {
    const { jetstreamManager } = await import('@nats-io/jetstream')
    const manager = await jetstreamManager(connection, { checkAPI: false })
    const last = await manager.streams.getMessage('AUDIT', { last_by_subj: 'audit.erase.core.secrets' })
    const record = last?.json<{ verb: string; user: { username: string }; annotations: Record<string, string> }>()
    assert.equal([record?.verb, record?.user.username], ['erase', 'kubernetes-admin'])
    assert.match(record?.annotations['reckon.io/erased'] ?? '', /^[0-9a-f-]{36}$/)
    assert.match(last?.header.get('reckon-mac') ?? '', /./)
  } finally {
    await connection.close()
  }
})
secrets.run()
