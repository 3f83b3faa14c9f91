/** Which form of discovery a client asked for, and the Content-Type of the answer. */

export type AggregatedVersion = 'v2' | 'v2beta1'

/** Accept clauses, best first: by quality, then as written. */
const clauses = (accept: string): { type: string; parameters: Map<string, string> }[] => {
  return accept
    .split(',')
    .map((clause) => {
      const [type = '', ...rest] = clause.split(';').map((part) => part.trim())
      const parameters = new Map(rest.map((part) => part.split('=', 2).map((word) => word.trim()) as [string, string]))
      return { type: type.toLowerCase(), parameters, quality: Number(parameters.get('q') ?? 1) }
    })
    .filter((clause) => clause.quality > 0)
    .sort((a, b) => b.quality - a.quality)
}

/**
 * The aggregated version of the first clause that can be served, or undefined for the legacy documents.
 * kubectl up to 1.29 knows v2beta1 only and takes a v2 answer for an empty server, so the version is never guessed.
 */
export const aggregatedVersion = (accept: string | undefined): AggregatedVersion | undefined => {
  for (const { type, parameters } of clauses(accept ?? '')) {
    if (type !== 'application/json' && type !== '*/*' && type !== 'application/*') continue
    const as = parameters.get('as')
    if (as === undefined) return undefined
    if (as !== 'APIGroupDiscoveryList' || parameters.get('g') !== 'apidiscovery.k8s.io') continue
    const version = parameters.get('v')
    if (version === 'v2' || version === 'v2beta1') return version
  }
  return undefined
}

/** Content-Type of a discovery answer. Send `Vary: Accept` with it. */
export const discoveryContentType = (version: AggregatedVersion | undefined): string =>
  version === undefined ? 'application/json' : `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`
