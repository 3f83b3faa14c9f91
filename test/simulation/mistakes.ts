/** Mistakes that were made once, to be put back on purpose: the seeds must find each of them by themselves. */
import type { Log } from '#events/Log.ts'
import type { Decider } from '#services/apiserver/Decider.ts'
import type { ProxySource } from '#services/kube-proxy/KubeProxy.ts'

export interface Mistakes {
  /** BINDINGS as the publisher writes it. */
  bindings(log: Log): Log
  /** Who decides what agents report. */
  reports(decider: Decider): Decider
  /** EVENTS as a node's kube-proxy and DNS are told of it. */
  endpoints(log: Log): Log
  /** Services and slices as its kube-proxy sees them. */
  proxied(source: ProxySource): ProxySource
  /** Every scheduler and controller manager works, elected or not. */
  readonly unelected: boolean
  /** Leaders are elected, and their intents don't name their terms. */
  readonly unfenced: boolean
  /** Views take no notice of Leases that leave their stream by themselves. */
  readonly unexpired: boolean
}

export const NONE: Mistakes = {
  bindings: (log) => log,
  reports: (decider) => decider,
  endpoints: (log) => log,
  proxied: (source) => source,
  unelected: false,
  unfenced: false,
  unexpired: false
}

/** What could not be decided now, for want of a log, of room or of time, counts as decided. */
const hasty = (decider: Decider): Decider => ({
  submit: async (intent, user, once) => {
    const decided = { ok: true, code: 200, object: { apiVersion: 'v1', kind: 'Status', metadata: {} }, sequence: 0 } as const
    try {
      const result = await decider.submit(intent, user, once)
      return result.ok || (result.status.code ?? 500) < 429 ? result : decided
    } catch {
      return decided
    }
  }
})

/** The log but for what is done otherwise. */
const but = (log: Log, otherwise: Partial<Log>): Log => ({
  stream: log.stream,
  append: (appends, waitMs) => log.append(appends, waitMs),
  follow: (follow) => log.follow(follow),
  get: (sequence, subject) => log.get(sequence, subject),
  read: (range) => log.read(range),
  lastOn: (subject, upTo) => log.lastOn(subject, upTo),
  lastSequence: () => log.lastSequence(),
  state: () => log.state(),
  ...otherwise
})

/** Whoever writes last is right, whatever it knew. */
const careless = (log: Log): Log =>
  but(log, {
    append: (appends, waitMs) =>
      log.append(
        appends.map(({ expected: _, ...append }) => append),
        waitMs
      )
  })

/** What is deleted while it is followed stays in the view. */
const neverDeleted = (log: Log): Log =>
  but(log, {
    follow: (follow) =>
      log.follow({
        ...follow,
        onEntries: (entries) => follow.onEntries(entries.filter(({ headers }) => headers['reckon-deleted'] !== 'true'))
      })
  })

/** A change is of the Service that a slice belongs to now, and of no other. */
const withoutPrevious = (source: ProxySource): ProxySource => ({
  collection: (ref) => source.collection(ref),
  of: (ref) => ({ subscribe: (onChange) => source.of(ref).subscribe((change) => onChange({ ...change, previous: undefined })) })
})

/** Slices that are gone are no change of their Service. */
const slicesStay = (source: ProxySource): ProxySource => ({
  collection: (ref) => source.collection(ref),
  of: (ref) => ({
    subscribe: (onChange) =>
      source.of(ref).subscribe((change) => {
        if (change.type !== 'DELETED' || change.entry.key.resource !== 'endpointslices') onChange(change)
      })
  })
})

export interface PutBack {
  readonly name: string
  readonly mistakes: Mistakes
  /** How what comes of it is told. */
  readonly signs: RegExp
}

export const PUT_BACK: readonly PutBack[] = [
  {
    name: 'a report that can not be decided now counts as decided',
    mistakes: { ...NONE, reports: hasty },
    signs: /not converged|is said to|still has a container/
  },
  { name: 'views keep Leases that have expired', mistakes: { ...NONE, unexpired: true }, signs: /leases|Lease|not converged|nobody leads/ },
  {
    name: 'every scheduler and controller manager works',
    mistakes: { ...NONE, unelected: true },
    signs: /overcommitted|over its limit|over the limit/
  },
  { name: 'a deposed leader goes on', mistakes: { ...NONE, unfenced: true }, signs: /is of a term of/ },
  { name: 'an old BindingPublisher overwrites a newer one', mistakes: { ...NONE, bindings: careless }, signs: /binding \d+ of/ },
  {
    name: "a node's view keeps what was deleted",
    mistakes: { ...NONE, endpoints: neverDeleted },
    signs: /n\d answered|kube-proxy of n\d|has two Services/
  },
  {
    name: 'a slice that has become of another Service leaves its endpoints behind',
    mistakes: { ...NONE, proxied: withoutPrevious },
    signs: /kube-proxy of n\d/
  },
  { name: 'a slice that is gone changes no rules', mistakes: { ...NONE, proxied: slicesStay }, signs: /kube-proxy of n\d/ }
]
