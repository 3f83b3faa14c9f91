/** The DNS server's life in an Effect scope. */
import { Data, Effect } from 'effect'
import { Dns, type DnsOptions } from './Dns.ts'

/** The address or port could not be had. */
export class DnsUnavailable extends Data.TaggedError('DnsUnavailable')<{ readonly message: string; readonly cause: unknown }> {}

export const dnsServer = (options: DnsOptions) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const dns = new Dns(options)
        await dns.start()
        return dns
      },
      catch: (cause) => new DnsUnavailable({ message: `cluster DNS can't listen on ${options.address}:${options.port}: ${(cause as Error).message}`, cause })
    }),
    (dns) => Effect.promise(() => dns.stop())
  )
