/** Takes away the namespaces that specs left behind: those of one that was killed before it could. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Target } from './cluster.ts'

/** The suite's labels on what it makes: of every run, and with the run's own name. */
const OF_ANY = 'e2e-framework'
const OF_RUN = 'e2e-run'

/** Asks for the end of the namespaces a run made and did not delete itself, and says how many. Others may be at work beside it. */
export const sweep = async ({ api }: Target, run: string): Promise<number> => {
  const { items } = await api.listNamespace({ labelSelector: `${OF_RUN}=${run}` })
  const left = items.filter(({ metadata }) => metadata?.deletionTimestamp === undefined)
  for (const { metadata } of left) await api.deleteNamespace({ name: metadata?.name ?? '' }).catch(gone)
  return left.length
}

const gone = (error: { code?: number }): void => {
  if (error.code !== 404 && error.code !== 409) throw error
}

/** Returns when none is left, or after `seconds`, with the names of those that are. */
export const quiet = async ({ api }: Target, seconds: number, signal: AbortSignal): Promise<string[]> => {
  for (const deadline = Date.now() + seconds * 1000; ; await wait(500)) {
    const { items } = await api.listNamespace({ labelSelector: OF_ANY })
    if (items.length === 0 || signal.aborted || Date.now() > deadline) return items.map(({ metadata }) => metadata?.name ?? '')
  }
}
