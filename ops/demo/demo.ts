/** The demo: a web application applied as a person would, and waited for until its Service answers both ways. */
import { readdirSync, readFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseAllDocuments } from 'yaml'
import type { KubeObject } from '#events/KubeObject.ts'
import { builtInApi } from '#events/scheme.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { NatsIntents } from '#services/platform/NatsIntents.ts'
import { ask } from '#ops/ask.ts'
import type { ClusterConfig } from '#ops/home.ts'
import { connectNats } from '#ops/nats/connect.ts'
import type { Report } from '#ops/setup/project.ts'

const MANIFESTS = join(import.meta.dirname, 'manifests')
const USUAL_SERVER = 'https://127.0.0.1:6443'
const LIMIT_MS = 120_000

export const runDemo = async (home: string, config: ClusterConfig, report: Report): Promise<void> => {
  // What a person made of the demo since then is theirs.
  const present = await ask(home, config, '/apis/apps/v1/namespaces/default/deployments/web')
  if (present.status === 404) await apply(home, config, report)
  await ready(home, config, report)
  const { spec } = JSON.parse((await ask(home, config, '/api/v1/namespaces/default/services/web')).body) as {
    spec: { clusterIP: string; ports: { nodePort: number }[] }
  }
  for (const [what, url] of [
    ['its ClusterIP', `http://${spec.clusterIP}/`],
    ['its NodePort', `http://127.0.0.1:${spec.ports[0]?.nodePort}/`]
  ] as const) {
    const page = await answerOf(url)
    report(`web answers over ${what}, ${url}: ${/<b>([^<]+)<\/b>/.exec(page)?.[1] ?? page.slice(0, 60)}`)
  }
}

/** What is applied, in order. The manifests say the API server's usual port; the page names the one it has. */
export const demoObjects = (apiPort: number): readonly KubeObject[] =>
  readdirSync(MANIFESTS)
    .sort()
    .flatMap((file) =>
      parseAllDocuments(readFileSync(join(MANIFESTS, file), 'utf8').replaceAll(USUAL_SERVER, `https://127.0.0.1:${apiPort}`))
    )
    .map((document) => document.toJSON() as KubeObject)

const apply = async (home: string, config: ClusterConfig, report: Report): Promise<void> => {
  const api = builtInApi()
  const connection = await connectNats(home, config, 'admin')
  try {
    const intents = new NatsIntents(connection, { user: 'admin' })
    for (const object of demoObjects(config.apiPort)) {
      const kind = api.kindOfObject(object)
      if (kind === undefined) throw new Error(`the demo: no kind ${object.kind} in ${object.apiVersion}`)
      const name = object.metadata.name as string
      const result = await intents.submit({
        id: systemClock.uuid(),
        verb: 'patch',
        ref: { group: kind.group, resource: kind.resource },
        version: kind.version,
        namespace: 'default',
        name,
        patch: { type: 'application/apply-patch+yaml', body: object },
        options: { fieldManager: 'reckon', force: true },
        source: 'reckon',
        command: 'reckon up --demo'
      })
      if (!result.ok) throw new Error(`the demo's ${kind.singular} ${name} was refused: ${result.status.message}`)
      report(`applied ${kind.singular}${kind.group === '' ? '' : `.${kind.group}`}/${name}`)
    }
  } finally {
    await connection.close()
  }
}

const ready = async (home: string, config: ClusterConfig, report: Report): Promise<void> => {
  const deadline = Date.now() + LIMIT_MS
  let said = ''
  for (;;) {
    const { status, body } = await ask(home, config, '/apis/apps/v1/namespaces/default/deployments/web')
    const deployment =
      status === 200
        ? (JSON.parse(body) as {
            metadata: { generation: number }
            spec: { replicas: number }
            status?: { observedGeneration?: number; availableReplicas?: number; updatedReplicas?: number }
          })
        : undefined
    const available = deployment?.status?.availableReplicas ?? 0
    const wanted = deployment?.spec.replicas ?? 0
    const line = `deployment web: ${available} of ${wanted} replicas available`
    if (line !== said) report((said = line))
    if (deployment !== undefined && wanted === 0)
      throw new Error('the deployment web is scaled to 0: kubectl scale deployment web --replicas=3')
    if (
      deployment !== undefined &&
      available >= wanted &&
      deployment.status?.updatedReplicas === wanted &&
      deployment.status.observedGeneration === deployment.metadata.generation
    )
      return
    if (Date.now() > deadline)
      throw new Error(
        `the demo's deployment is not available after ${LIMIT_MS / 1000} s; see: npx reckon get pods, npx reckon why deployment/web`
      )
    await wait(200)
  }
}

/** The page; asked for again until kube-proxy has the rules. */
const answerOf = async (url: string): Promise<string> => {
  const deadline = Date.now() + 30_000
  for (;;) {
    try {
      return await fetchText(url)
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`${url} does not answer: ${(error as Error).message}`)
      await wait(200)
    }
  }
}

const fetchText = (url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const call = get(url, { timeout: 2_000, agent: false, insecureHTTPParser: true }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (body += chunk))
      response.on('end', () => (response.statusCode === 200 ? resolve(body) : reject(new Error(`status ${response.statusCode}`))))
      response.on('error', reject)
    })
    call.on('timeout', () => call.destroy(new Error('no answer in 2 s')))
    call.on('error', reject)
  })
