/**
 * What one API server lets be asked of it at a time: requests by class, for all users and for each one, and the bytes of
 * request bodies. Who comes too much is told to come again (429); those who keep the cluster running have places of their own.
 */
import type { UserInfo } from '#events/Intent.ts'
import { tooManyRequests } from '#events/Refusal.ts'
import { Pool, type Share } from '#services/apiserver/Pool.ts'

export interface Limits {
  /** Requests that read and end; the total is upstream's --max-requests-inflight. */
  readonly reading: Share
  /** Requests that change something; the total is upstream's --max-mutating-requests-inflight. */
  readonly mutating: Share
  /** Watches, exec, attach. */
  readonly longRunning: Share
  /** Logs, followed or not: they go at their reader's pace, which may be none, and must keep nobody out of anything else. */
  readonly logs: Share
  /** Bytes of request bodies, from their first byte to the answer. */
  readonly bodyBytes: Share
  /** A body has arrived within this, or the request ends. */
  readonly bodyMs: number
  /** A client that has taken nothing of its answer for this long is cut off. */
  readonly writeMs: number
  /** What a watcher may be behind before its watch ends, and all of them together. Bytes. */
  readonly watch: { readonly behind: number; readonly together: number }
  /** Batches of the log (128 KiB, or one larger object) that late watchers are taking; more of them wait. */
  readonly replays: number
  readonly connections: number
}

const MIB = 1024 * 1024

export const LIMITS: Limits = {
  reading: { total: 400, perUser: 200 },
  mutating: { total: 200, perUser: 100 },
  longRunning: { total: 8_000, perUser: 2_000 },
  logs: { total: 800, perUser: 200 },
  bodyBytes: { total: 64 * MIB, perUser: 32 * MIB },
  bodyMs: 60_000,
  writeMs: 60_000,
  watch: { behind: 8 * MIB, together: 64 * MIB },
  replays: 64,
  connections: 16_384
}

export type RequestClass = 'reading' | 'mutating' | 'longRunning' | 'logs'

/** Whose requests nobody else's may keep out: administrators, nodes, the control plane itself. */
const PRIVILEGED_GROUPS = new Set(['system:masters', 'system:nodes'])
const PRIVILEGED_USERS = new Set(['system:apiserver', 'system:kube-scheduler', 'system:kube-controller-manager', 'system:kube-proxy'])

export const isPrivileged = ({ username, groups }: UserInfo): boolean =>
  PRIVILEGED_USERS.has(username) || groups.some((group) => PRIVILEGED_GROUPS.has(group))

const WORDS: Readonly<Record<keyof Counted, string>> = {
  reading: 'requests in flight',
  mutating: 'changing requests in flight',
  longRunning: 'watches and other long-running requests',
  logs: 'logs open',
  bodyBytes: 'bytes of request bodies in flight'
}

type Counted = Pick<Limits, RequestClass | 'bodyBytes'>

/** A place held until it is given back; more may be taken to it. */
export interface Place {
  release(): void
}

/** Two sets of pools of the same size: the privileged users' is their own, so that the others can't fill it. */
export class Gate {
  readonly #limits: Counted
  readonly #pools = { common: newPools(), privileged: newPools() }

  constructor(limits: Counted) {
    this.#limits = limits
  }
  /** Throws 429 when there is no room for `amount` more. Give it back once. */
  enter(what: keyof Counted, user: UserInfo, amount = 1): Place {
    const privileged = isPrivileged(user)
    const share = this.#limits[what]
    const pool = (privileged ? this.#pools.privileged : this.#pools.common)[what]
    // Administrators share one name; only the total holds for them.
    const full = pool.full(
      privileged && user.groups.includes('system:masters') ? { ...share, perUser: share.total } : share,
      user.username,
      amount
    )
    if (full !== undefined)
      throw tooManyRequests(
        `too many requests, please try again later: ${full === 'user' ? `user "${user.username}" has` : 'the server has'} ${full === 'user' ? share.perUser : pool.taken} ${WORDS[what]}`,
        1
      )
    pool.take(user.username, amount)
    let held = true
    return {
      release: () => {
        if (held) pool.give(user.username, amount)
        held = false
      }
    }
  }
}

const newPools = (): Readonly<Record<keyof Counted, Pool>> => ({
  reading: new Pool(),
  mutating: new Pool(),
  longRunning: new Pool(),
  logs: new Pool(),
  bodyBytes: new Pool()
})
