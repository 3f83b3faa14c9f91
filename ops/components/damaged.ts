/** The API server of a cluster whose log is not what it was: it says so to everybody who asks, and does nothing else. */
import { readFileSync } from 'node:fs'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import type { Damage } from '#events/Log.ts'
import { damageLines, rememberDamage, waysOn } from '#ops/log/damage.ts'
import { pkiFile } from '#ops/pki/pki.ts'
import { DamagedServer } from '#services/apiserver/http/DamagedServer.ts'
import { NotStarted } from './errors.ts'
import { Place } from './place.ts'

export const damaged = (damages: readonly Damage[]) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { home, config, warn } = yield* Place
      rememberDamage(home, damages)
      const lines = damageLines(damages)
      for (const line of [...lines, ...waysOn(home)]) warn('the log is damaged', line)
      const read = (name: string): string => readFileSync(pkiFile(home, name), 'utf8')
      yield* Effect.acquireRelease(
        Effect.tryPromise({
          try: async () => {
            const server = new DamagedServer(lines, waysOn(home))
            const tls = { certificate: read('apiserver.crt'), key: read('apiserver.key'), clientCA: read('ca.crt') }
            await server.listen(tls, config.apiPort)
            return server
          },
          catch: (cause) => new NotStarted({ message: `the API server on port ${config.apiPort}: ${String(cause)}`, cause })
        }),
        (server) => Effect.promise(() => server.close())
      )
    })
  )
