/** The API server of a cluster whose log is not what it was: it says so to everybody who asks, and does nothing else. */
import { readFileSync } from 'node:fs'
import * as Effect from 'effect/Effect'
import type * as Scope from 'effect/Scope'
import type { Damage } from '#events/Log.ts'
import { damageLines, rememberDamage, waysOn } from '#ops/log/damage.ts'
import { pkiFile } from '#ops/pki/pki.ts'
import { DamagedServer } from '#services/apiserver/http/DamagedServer.ts'
import type { Place } from './connection.ts'

export const damaged = (place: Place, damages: readonly Damage[]): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const { home, config } = place
    rememberDamage(home, damages)
    const lines = damageLines(damages)
    for (const line of [...lines, ...waysOn(home)]) place.warn('the log is damaged', line)
    const read = (name: string): string => readFileSync(pkiFile(home, name), 'utf8')
    yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: async () => {
          const server = new DamagedServer(lines, waysOn(home))
          await server.listen({ certificate: read('apiserver.crt'), key: read('apiserver.key'), clientCA: read('ca.crt') }, config.apiPort)
          return server
        },
        catch: (cause) => new Error(`the API server on port ${config.apiPort}: ${String(cause)}`, { cause })
      }),
      (server) => Effect.promise(() => server.close())
    )
    yield* Effect.never
  })
