/** One request and its answer, with what is known of it; over HTTP/1.1 or HTTP/2, whose requests look alike here. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { UserInfo } from '#events/Intent.ts'
import type { RequestAudit } from '#services/apiserver/audit/RequestAudit.ts'
import type { Outlets } from './Outlet.ts'
import type { Target } from './paths.ts'

/** Where an answer goes. */
export interface Door {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly outlets: Outlets
  /** What is noted for the audit trail. */
  readonly audit?: RequestAudit
}

export interface Exchange extends Door {
  readonly target: Target
  readonly user: UserInfo
  readonly audit: RequestAudit
  /** The whole body, once. */
  readBody(): Promise<Buffer>
}

/** HEAD asks for the headers alone. */
export const wantsBody = ({ request }: Door): boolean => request.method !== 'HEAD'
