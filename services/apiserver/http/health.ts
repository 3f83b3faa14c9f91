/**
 * `/livez`, `/readyz`, `/healthz`: named checks, asked all together or one by one, in the words and formats of
 * kube-apiserver (k8s.io/apiserver, pkg/server/healthz), which probes and people read.
 */

export interface HealthCheck {
  readonly name: string
  /** Throws, or rejects with, what is wrong. Answers soon, whatever is wrong. */
  readonly check: () => void | Promise<void>
}

/** The checks of each endpoint, in the order they are shown. */
export type Health = Readonly<Record<'livez' | 'readyz' | 'healthz', readonly HealthCheck[]>>

export const PING: HealthCheck = { name: 'ping', check: () => {} }

/** Of a server that is given no others. */
export const ONLY_PING: Health = { livez: [PING], readyz: [PING], healthz: [PING] }

export interface HealthAnswer {
  readonly code: 200 | 500
  readonly text: string
  readonly headers: Readonly<Record<string, string>>
}

const HEADERS = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }

const answer = (code: 200 | 500, text: string): HealthAnswer => ({ code, text, headers: HEADERS })

/** What is wrong, or undefined. */
const faultOf = async ({ check }: HealthCheck): Promise<string | undefined> => {
  try {
    await check()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** `"a","b"` */
const quoted = (names: readonly string[]): string => names.map((name) => JSON.stringify(name)).join(',')

/** Undefined for a path that is none of them: an unknown check is a page that is not there. */
export const healthAnswer = async (health: Health, path: string, query: URLSearchParams): Promise<HealthAnswer | undefined> => {
  const [, endpoint = '', name] = /^\/(livez|readyz|healthz)(?:\/(.+))?$/.exec(path) ?? []
  const checks = (health as Readonly<Record<string, readonly HealthCheck[]>>)[endpoint]
  if (checks === undefined) return undefined
  if (name === undefined) return all(endpoint, checks, query)
  const one = checks.find((check) => check.name === name)
  if (one === undefined) return undefined
  const fault = await faultOf(one)
  return fault === undefined ? answer(200, 'ok') : answer(500, `internal server error: ${fault}\n`)
}

const all = async (endpoint: string, checks: readonly HealthCheck[], query: URLSearchParams): Promise<HealthAnswer> => {
  const excluded = new Set(query.getAll('exclude'))
  const faults = await Promise.all(checks.map(async (check) => (excluded.has(check.name) ? undefined : faultOf(check))))
  // Why is told to who asks for the check by name, and in the log.
  const lines = checks.map(({ name }, at) =>
    excluded.has(name) ? `[+]${name} excluded: ok` : faults[at] === undefined ? `[+]${name} ok` : `[-]${name} failed: reason withheld`
  )
  const unknown = [...excluded].filter((name) => !checks.some((check) => check.name === name)).sort()
  if (unknown.length > 0) lines.push(`warn: some health checks cannot be excluded: no matches for ${quoted(unknown)}`)
  if (faults.some((fault) => fault !== undefined)) return answer(500, [...lines, `${endpoint} check failed\n`].join('\n'))
  return answer(200, query.has('verbose') ? [...lines, `${endpoint} check passed\n`].join('\n') : 'ok')
}

/** Every check once, failures with their reasons: for who writes them into a log. */
export const faultsOf = async (checks: readonly HealthCheck[]): Promise<readonly string[]> =>
  (await Promise.all(checks.map(async (check) => [check.name, await faultOf(check)] as const))).flatMap(([name, fault]) =>
    fault === undefined ? [] : [`${name}: ${fault}`]
  )
