/**
 * Compares the built-in schemas with the OpenAPI v3 documents that Kubernetes publishes, or that an API server answers with
 * (ops/docs/schema.md): `npm run check-schema [-- v1.34.4 | <folder of documents> | <kubeconfig>]`. What differs is printed, one
 * line each, ours and what Kubernetes itself has changed between that version and ours apart; it ends with 1 when anything is ours.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { findProgram, run } from '#ops/setup/project.ts'
import { kubectls } from '#test/support/kubectls.ts'
import { compareSchemas, explained, minorOf, versionOf, type OpenApiDocument } from './compareSchemas.ts'

/** The release that the pinned client's models are of. */
const OWN = 'v1.36.3'

const fromFolder = (folder: string): OpenApiDocument[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as OpenApiDocument)

/** Kubernetes keeps the documents of each release beside its sources, which are a public Go module: there is nothing to build. */
const fromRelease = async (version: string): Promise<OpenApiDocument[]> => {
  if (findProgram('go') === undefined)
    throw new Error(`the documents of Kubernetes ${version} come with its Go module: put go on PATH, or name a folder of documents`)
  const downloaded = await run('go', ['mod', 'download', '-json', `k8s.io/kubernetes@${version}`], { cwd: tmpdir() })
  return fromFolder(join((JSON.parse(downloaded) as { readonly Dir: string }).Dir, 'api/openapi-spec/v3'))
}

const fromServer = async (kubeconfig: string): Promise<OpenApiDocument[]> => {
  const program = (await kubectls()).at(-1)?.path as string
  const options = { stdin: 'ignore', maxBuffer: 64 * 1024 * 1024 } as const
  const get = async (path: string): Promise<unknown> =>
    JSON.parse((await execa(program, [`--kubeconfig=${kubeconfig}`, 'get', '--raw', path], options)).stdout)
  const { paths } = (await get('/openapi/v3')) as { readonly paths: Readonly<Record<string, { readonly serverRelativeURL: string }>> }
  const documents: OpenApiDocument[] = []
  for (const { serverRelativeURL } of Object.values(paths)) documents.push((await get(serverRelativeURL)) as OpenApiDocument)
  return documents
}

const RELEASE = /^v\d+\.\d+\.\d+$/
const [where = OWN] = process.argv.slice(2)
if (!RELEASE.test(where) && !existsSync(where)) {
  console.error(`${where}: name a release (${OWN}), a folder of OpenAPI v3 documents, or the kubeconfig of a cluster to ask`)
  process.exit(2)
}
const documents = await (RELEASE.test(where) ? fromRelease(where) : statSync(where).isDirectory() ? fromFolder(where) : fromServer(where))
const version = RELEASE.test(where) ? where : versionOf(documents)
const { types, fields, differences } = compareSchemas(documents)
// Of another version's documents only what those of our own say as well is a fault of ours.
const isOther = version !== undefined && minorOf(version) !== minorOf(OWN)
const { ours, theirs } = isOther
  ? explained(differences, compareSchemas(await fromRelease(OWN)).differences)
  : { ours: differences, theirs: [] }
for (const line of theirs) console.log(`${line} (changed between Kubernetes ${version} and ${OWN})`)
for (const line of ours) console.log(line)
const counted = theirs.length === 0 ? '' : `, and ${theirs.length} that Kubernetes has changed between ${version} and ${OWN}`
console.log(`${types} types and ${fields} fields compared with ${version ?? where}: ${ours.length} differences of ours${counted}`)
process.exit(ours.length === 0 ? 0 : 1)
