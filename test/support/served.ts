/** An API server in this process with the controllers that look after kinds and namespaces, and kubectl to drive it. No containers. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa, type ResultPromise } from 'execa'
import type { KubeObject } from '#events/KubeObject.ts'
import { pkiFile } from '#ops/pki/pki.ts'
import { controllers, userOf } from '#services/controller-manager/controllers.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { Controller } from '#services/platform/Controller.ts'
import { Outrun } from '#services/platform/Controller.ts'
import { kubectls } from './kubectls.ts'
import { startTestServer, type TestServer } from './server.ts'

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface Served {
  readonly server: TestServer
  /** Never throws for its exit code. */
  kubectl(args: readonly string[], input?: string): Promise<Ran>
  /** That goes on: a watch. */
  begin(args: readonly string[]): ResultPromise
  /** What must succeed; its output. */
  ok(...args: string[]): Promise<string>
  /** Applies a definition, or anything, and waits for its kind to be served. */
  define(definition: KubeObject): Promise<void>
  /** The name of a collection, asked for until it is there. */
  until(what: string, check: () => boolean | Promise<boolean>, ms?: number): Promise<void>
  stop(): Promise<void>
}

const LOOPS = new Set(['customresourcedefinition-controller', 'generic-garbage-collector', 'namespace-controller'])

export const startServed = async (withKubectl = true): Promise<Served> => {
  const server = await startTestServer()
  const { api, home, port } = server
  const loops = controllers({ clusterCA: 'PEM' })
    .filter(({ name }) => LOOPS.has(name))
    .map((definition) => {
      const submit = (intent: Parameters<typeof api.decider.submit>[0]) => api.decider.submit(intent, userOf(definition.name))
      return new Controller(
        definition,
        api.views,
        { submit },
        systemClock,
        ({ error }) => error instanceof Outrun || server.errors.push(error)
      )
    })
  for (const loop of loops) loop.start()
  const data = (name: string): Record<string, string> => ({ [`${name}`]: pkiFile(home, name) })
  const kubeconfig = join(home, 'kubeconfig')
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority': data('ca.crt')['ca.crt'] } }],
      users: [{ name: 'u', user: { 'client-certificate': data('admin.crt')['admin.crt'], 'client-key': data('admin.key')['admin.key'] } }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'c'
    })
  )
  const program = withKubectl ? ((await kubectls()).at(-1)?.path as string) : ''
  const line = (args: readonly string[]): string[] => [`--kubeconfig=${kubeconfig}`, `--cache-dir=${join(home, 'kubectl-cache')}`, ...args]
  const kubectl: Served['kubectl'] = async (args, input) => {
    const done = await execa(program, line(args), {
      reject: false,
      timeout: 30_000,
      ...(input === undefined ? { stdin: 'ignore' as const } : { input })
    })
    return {
      code: done.exitCode ?? 1,
      out: done.stdout,
      err: done.stderr
        .split('\n')
        .filter((text) => !text.includes('exceeds the supported minor version skew'))
        .join('\n')
    }
  }
  const until: Served['until'] = async (what, check, ms = 10_000) => {
    const deadline = Date.now() + ms
    while (!(await check())) {
      if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  return {
    server,
    kubectl,
    until,
    begin: (args) => execa(program, line(args), { reject: false, stdin: 'ignore', timeout: 30_000 }),
    ok: async (...args) => {
      const { code, out, err } = await kubectl(args)
      if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${code}: ${err}`)
      return out
    },
    define: async (definition) => {
      const { code, object } = await server.json('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definition)
      if (code !== 201) throw new Error(JSON.stringify(object))
      const { group, names } = definition['spec'] as { group: string; names: { plural: string } }
      await until(`${names.plural}.${group} is served`, () => api.views.api.kindOf({ group, resource: names.plural }) !== undefined)
    },
    stop: async () => {
      for (const loop of loops) loop.stop()
      await server.stop()
    }
  }
}

/** A definition of `plural.example.com`. */
export const definitionOf = (
  kind: string,
  versions: readonly Record<string, unknown>[],
  more: Record<string, unknown> = {}
): KubeObject => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${kind.toLowerCase()}s.example.com` },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: `${kind.toLowerCase()}s`, kind, ...(more['names'] as object | undefined) },
    versions,
    ...Object.fromEntries(Object.entries(more).filter(([key]) => key !== 'names'))
  }
})

/** A version with a schema of spec and status. */
export const versionOf = (name: string, spec: Record<string, unknown>, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  name,
  served: true,
  storage: true,
  schema: {
    openAPIV3Schema: {
      type: 'object',
      description: 'A thing of the tests.',
      properties: { spec: { type: 'object', ...spec }, status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }
    }
  },
  ...more
})
