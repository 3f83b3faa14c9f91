/** The images that conformance specs start, by the names the suite calls them: which layers, which command. */

/** What fills each is in images.ts. */
export type LayerName =
  'busybox' | 'tools' | 'agnhost' | 'nautilus' | 'nonewprivs' | 'pause' | 'nginx' | 'httpd' | 'etcd' | 'sample-apiserver'

export interface Recipe {
  /** The end of the references it is made for, without the tag; every version the suite names gets it. */
  readonly path: string
  /** The lowest first. */
  readonly layers: readonly LayerName[]
  readonly config: Readonly<Record<string, unknown>>
}

const port = (...numbers: readonly number[]): Readonly<Record<string, unknown>> => ({
  ExposedPorts: Object.fromEntries(numbers.map((number) => [`${number}/tcp`, {}]))
})
const PATH = { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'] }

/** As the images' own Dockerfiles in Kubernetes' sources say it (test/images). */
export const RECIPES: readonly Recipe[] = [
  { path: '/pause', layers: ['pause'], config: { User: '65535:65535', Entrypoint: ['/pause'] } },
  { path: '/e2e-test-images/busybox', layers: ['busybox'], config: { ...PATH, Cmd: ['sh'] } },
  { path: '/e2e-test-images/nonroot', layers: ['busybox'], config: { ...PATH, User: '1234', Cmd: ['sh'] } },
  { path: '/e2e-test-images/nonewprivs', layers: ['busybox', 'nonewprivs'], config: { ...PATH, Cmd: ['nnp'] } },
  {
    path: '/e2e-test-images/agnhost',
    layers: ['busybox', 'tools', 'agnhost'],
    config: { ...PATH, ...port(80, 8080, 8081, 9376, 5000), Entrypoint: ['/agnhost'], Cmd: ['pause'] }
  },
  {
    path: '/e2e-test-images/nautilus',
    layers: ['busybox', 'tools', 'agnhost', 'nautilus'],
    config: { ...PATH, Entrypoint: ['/agnhost'], Cmd: ['test-webserver'] }
  },
  { path: '/e2e-test-images/jessie-dnsutils', layers: ['busybox', 'tools'], config: { ...PATH, Cmd: ['sh'] } },
  {
    path: '/e2e-test-images/nginx',
    layers: ['busybox', 'nginx'],
    config: { ...PATH, ...port(80), StopSignal: 'SIGQUIT', Cmd: ['nginx', '-g', 'daemon off;'] }
  },
  {
    path: '/e2e-test-images/httpd',
    layers: ['busybox', 'httpd'],
    config: {
      Env: ['PATH=/usr/local/apache2/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      ...port(80),
      WorkingDir: '/usr/local/apache2',
      StopSignal: 'SIGWINCH',
      Cmd: ['httpd-foreground']
    }
  },
  { path: '/etcd', layers: ['busybox', 'etcd'], config: { ...PATH, Cmd: ['/usr/local/bin/etcd'] } },
  {
    path: '/e2e-test-images/sample-apiserver',
    layers: ['busybox', 'sample-apiserver'],
    config: { ...PATH, Entrypoint: ['/sample-apiserver'] }
  }
]

/** The version in a reference: `…/agnhost:2.56` is 2.56. */
export const versionOf = (reference: string): string => reference.slice(reference.lastIndexOf(':') + 1)

/** Which of the suite's references a recipe is for; throws when the suite has no such image any more. */
export const referencesOf = ({ path }: Recipe, images: readonly string[]): string[] => {
  const found = images.filter((reference) => reference.slice(0, reference.lastIndexOf(':')).endsWith(path))
  if (found.length === 0) throw new Error(`the suite names no image ${path.slice(1)}`)
  return found
}
