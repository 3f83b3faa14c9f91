/**
 * Compares the built-in schemas with the OpenAPI v3 documents of a Kubernetes API server:
 * `npm run check-schema -- <folder of documents>` or `npm run check-schema -- <kubeconfig>` (asked with kubectl). What differs is
 * printed, one line each; it ends with 1 when anything does.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { kubectls } from '../support/kubectls.ts'
import { compareSchemas, type OpenApiDocument } from './compareSchemas.ts'

const fromFolder = (folder: string): OpenApiDocument[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as OpenApiDocument)

const fromServer = async (kubeconfig: string): Promise<OpenApiDocument[]> => {
  const program = (await kubectls()).at(-1)?.path as string
  const get = async (path: string): Promise<unknown> => JSON.parse((await execa(program, [`--kubeconfig=${kubeconfig}`, 'get', '--raw', path], { stdin: 'ignore', maxBuffer: 64 * 1024 * 1024 })).stdout)
  const { paths } = (await get('/openapi/v3')) as { readonly paths: Readonly<Record<string, { readonly serverRelativeURL: string }>> }
  const documents: OpenApiDocument[] = []
  for (const { serverRelativeURL } of Object.values(paths)) documents.push((await get(serverRelativeURL)) as OpenApiDocument)
  return documents
}

const [where] = process.argv.slice(2)
if (where === undefined) {
  console.error('name a folder of OpenAPI v3 documents, or the kubeconfig of a cluster to ask')
  process.exit(2)
}
const { types, fields, differences } = compareSchemas(statSync(where).isDirectory() ? fromFolder(where) : await fromServer(where))
for (const line of differences) console.log(line)
console.log(`${types} types and ${fields} fields compared, ${differences.length} differences`)
process.exit(differences.length === 0 ? 0 : 1)
