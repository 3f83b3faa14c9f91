/** Kubernetes' end-to-end tests and the kubectl they call, built from the sources of one release. */
import { join } from 'node:path'
import { CACHE, type Report, run } from '#ops/setup/project.ts'
import { buildProgram, ensureGo, fetchModule, type Sources } from './go.ts'
import { parseSpecs } from './specs.ts'
import { stagingVersion } from './wrapper.ts'

/** The release whose specs are run. Another one is another measure: its results are kept apart. */
export const SUITE = 'v1.34.4'

export const FOLDER = join(CACHE, 'conformance')

export interface Suite {
  readonly program: string
  readonly kubectl: string
  readonly sources: Sources
  readonly specs: readonly string[]
  /** The images that specs name. */
  readonly images: readonly string[]
}

export const buildSuite = async (report: Report): Promise<Suite> => {
  await ensureGo()
  const folder = join(FOLDER, SUITE)
  const published = (): string => stagingVersion(SUITE)
  const sources = await fetchModule({ module: 'k8s.io/kubernetes', version: SUITE, published }, folder, report)
  const variables = versionVariables()
  const build = (into: string, name: string, test: boolean): Promise<string> =>
    buildProgram({ from: sources, package: `k8s.io/kubernetes/${name}`, into: join(folder, into), test, variables }, report)
  const program = await build('e2e.test', 'test/e2e', true)
  const kubectl = await build('kubectl', 'cmd/kubectl', false)
  const specs = parseSpecs(await run(program, ['--list-conformance-tests']))
  const images = (await run(program, ['--list-images']))
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  return { program, kubectl, sources, specs, images: [...new Set(images)].sort() }
}

/** What the programs say they are; unset they would say v0.0.0, and specs that compare versions would take another way. */
const versionVariables = (): Record<string, string> => {
  const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(SUITE) ?? []
  return Object.fromEntries(
    ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap((place) => [
      [`${place}.gitVersion`, SUITE],
      [`${place}.gitMajor`, major],
      [`${place}.gitMinor`, minor],
      [`${place}.gitTreeState`, 'clean']
    ])
  )
}
