/** The pod network's life in an Effect scope. It outlives the agent: pods keep their network while the agent is away. */
import { Effect } from 'effect'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import { BridgeNetwork, NetworkFailed, type BridgeNetworkOptions } from './BridgeNetwork.ts'

/** How often the rules are looked at: other programs flush tables. */
const CHECK_MS = 60_000

export const podNetwork = (options: BridgeNetworkOptions, clock: Clock) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const network = new BridgeNetwork(options)
        await network.start()
        return { network, stop: keepRules(network, clock, options.onWarning) }
      },
      catch: (error) => (error instanceof NetworkFailed ? error : new NetworkFailed(`the pod network could not be made: ${(error as Error).message}`, { cause: error }))
    }),
    ({ stop }) => Effect.sync(stop)
  ).pipe(Effect.map(({ network }) => network))

const keepRules = (network: BridgeNetwork, clock: Clock, onWarning: BridgeNetworkOptions['onWarning']): (() => void) => {
  let timer: Timer | undefined
  let stopped = false
  const next = (): void => {
    if (stopped) return
    timer = clock.after(CHECK_MS, () => {
      void network
        .ensureRules()
        .catch((error: Error) => onWarning?.(`the pod network's rules could not be checked: ${error.message}`))
        .finally(next)
    })
  }
  next()
  return () => {
    stopped = true
    timer?.cancel()
  }
}
