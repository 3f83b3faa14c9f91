/** What is served is a fold, too: discovery and reads of the past know the kinds of then, and the command line those of the cluster. */
import type { JsonObject } from '#events/meta/json.ts'
import { at, partAt, type Document } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { kindOfWord } from '#services/cli/resources.ts'
import { servedApi } from '#services/cli/servedApi.ts'
import { PastApis } from '#services/apiserver/time-travel/PastApis.ts'
import { Versions } from '#services/apiserver/time-travel/Versions.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { builtIns } from '#test/support/builtIns.ts'
import { definitionOf, startServed, versionOf, type Served } from '#test/support/served.ts'

const kinds = suite('the kinds of a moment')
const WIDGET = { group: 'example.com', resource: 'widgets' }
const WIDGETS = '/apis/example.com/v1/namespaces/default/widgets'
const widgets = (fields: string[]) => {
  const properties = Object.fromEntries(fields.map((field) => [field, { type: 'string' }]))
  return definitionOf('Widget', [versionOf('v1', { properties })])
}

let served: Served
/** Before there were widgets, when they had a color, and when they had a size as well. */
let moments: string[]
const now = (): string => String(served.server.api.views.byStream.get('EVENTS')?.objects.sequence)
const get = async (path: string) => (await served.server.json('GET', path)).object as Document
const groups = async (moment: string): Promise<string[]> =>
  (await get(`/at/${moment}/apis`)).groups.map(({ name }: { name: string }) => name)
const read = async (path: string, { moment }: { moment?: string } = {}) => {
  const { code, text } = await served.server.send({ method: 'GET', path: `${moment === undefined ? '' : `/at/${moment}`}${path}` })
  return { status: code, body: text }
}

kinds.before(async () => {
  served = await startServed(false)
  moments = [now()]
  await served.define(widgets(['color']))
  const widget = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'w' }, spec: { color: 'red' } }
  assert.is((await served.server.json('POST', WIDGETS, widget)).code, 201)
  moments.push(now())
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com'
  const versions = at(widgets(['color', 'size']), 'spec.versions')
  assert.is((await served.server.json('PATCH', path, { spec: { versions } }, 'application/merge-patch+json')).code, 200)
  moments.push(now())
  await served.server.json('DELETE', path)
  await served.until('widgets are gone', () => served.server.api.views.api.kindOf(WIDGET) === undefined)
})
kinds.after(async () => {
  const { errors } = served.server
  await served.stop()
  assert.equal(errors, [])
})

kinds('discovery lists those that were served then', async () => {
  const [before, once, later] = moments as [string, string, string]
  assert.equal([(await groups(before)).includes('example.com'), (await groups(once)).includes('example.com')], [false, true])
  assert.not.ok((await get('/apis')).groups.some(({ name }: { name: string }) => name === 'example.com'))
  assert.is((await get(`/at/${once}/apis/example.com/v1`)).resources[0]?.kind, 'Widget')
  const fields = async (moment: string) => {
    const { schemas } = partAt(await get(`/at/${moment}/openapi/v3/apis/example.com/v1`), 'components') as { schemas: JsonObject }
    return Object.keys(partAt(schemas['com.example.v1.Widget'], 'properties.spec.properties'))
  }
  assert.equal([await fields(once), await fields(later)], [['color'], ['color', 'size']])
})
kinds('what is gone is read with them', async () => {
  const [, once] = moments as [string, string]
  assert.is((await get(`/at/${once}${WIDGETS}/w`)).spec['color'], 'red')
  assert.is((await served.server.json('GET', WIDGETS)).code, 404)
})
kinds('what is no moment is told by what is asked there, not by discovery', async () => {
  assert.is((await read('/apis', { moment: 'yesterday' })).status, 200)
  assert.match((await read('/api/v1/pods', { moment: 'yesterday' })).body, /\\"yesterday\\" is not a moment/)
})
kinds('they are made once for as long as definitions were the same', async () => {
  const { views, histories } = served.server.api
  const apis = new PastApis({ views, histories, versions: new Versions() }, systemClock)
  const [before, once, later] = moments as [string, string, string]
  assert.is(await apis.at(before), views.builtIn)
  assert.is(await apis.at(once), await apis.at(once))
  assert.is.not(await apis.at(once), await apis.at(later))
})
kinds('those of now are those of then, when no definition has changed', async () => {
  await served.define(definitionOf('Gadget', [versionOf('v1', {})]))
  const { views, histories } = served.server.api
  assert.is(await new PastApis({ views, histories, versions: new Versions() }, systemClock).at(now()), views.api)
})
kinds('the command line knows them by every name', async () => {
  const api = await servedApi(builtIns, read)
  for (const word of ['gadgets', 'gadget', 'gadgets.example.com', 'gadgets.v1.example.com'])
    assert.is(kindOfWord(api, word).kind, 'Gadget', word)
  assert.throws(() => kindOfWord(api, 'widgets'), /doesn't have a resource type "widgets"/)
  assert.is(kindOfWord(await servedApi(builtIns, read, moments[1]), 'widgets').kind, 'Widget')
  assert.is(kindOfWord(api, 'deploy').kind, 'Deployment')
})
kinds('the command line says why it could not know them', async () => {
  const failure = await servedApi(builtIns, read, '2999-01-01').catch((error: Error) => error)
  assert.match((failure as Error).message, /^Error from server \(BadRequest\): 2999-01-01 is in the future$/)
})
kinds.run()
