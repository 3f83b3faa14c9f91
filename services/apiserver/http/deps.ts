/** What the HTTP side needs of the rest of the API server. */
import type { StreamName } from '#events/Subject.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { NodeCalls } from '#services/platform/NodeLink.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import type { View } from '#services/platform/View.ts'
import type { Views } from '#services/platform/Views.ts'
import type { Recorder } from '#services/apiserver/audit/RequestAudit.ts'
import type { Decider } from '#services/apiserver/Decider.ts'
import type { SigningKeys } from '#services/apiserver/nodes/SigningKeys.ts'
import type { Tokens } from '#services/apiserver/nodes/Tokens.ts'
import type { Health } from './health.ts'
import type { Limits } from './limits.ts'

export interface ApiDeps {
  readonly decider: Decider
  readonly views: Views
  /** Where the past is; of a stream that keeps only the last states, `LastOnly`. */
  readonly histories: ReadonlyMap<StreamName, PastIndex>
  readonly nodeCalls: NodeCalls
  readonly clock: Clock
  readonly tokens: Tokens
  readonly signingKeys: SigningKeys
  /** `host:port`, as clients reach it. */
  readonly address: string
  readonly onError: (error: unknown) => void
  /** Resolves when what other API servers have acknowledged is here; undefined: there are none. */
  readonly upToDate?: (view: View) => Promise<void> | undefined
  /** Takes what makes no event. */
  readonly audit: Recorder
  /** What is not named is as `LIMITS` says. */
  readonly limits?: Partial<Limits>
  /** What `/livez`, `/readyz` and `/healthz` ask; absent: nothing but whether the server answers. */
  readonly health?: Health
}
