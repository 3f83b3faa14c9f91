/** Ports for servers that tests start, and start again: nobody else on this machine is given one, nor comes by it. */
import { randomInt } from 'node:crypto'
import { createServer, type ListenOptions, type Server } from 'node:net'

/**
 * Below the kernel's ephemeral ports (ip_local_port_range, from 32768): between two starts of a server one of those may become the near
 * end of somebody's connection, and the second start fails. Away from where clusters begin to look (6443, 4222, 30000).
 */
const [FIRST, END] = [12_000, 20_000]
/** A copy of a cluster looks for its ports from the next one on. */
const APART = 8
const TRIES = 200

const listening = (options: ListenOptions): Promise<Server | undefined> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined)).listen(options, () => resolve(server))
  })

/**
 * A port that nobody listens on, kept for this process until it ends: by an abstract socket (unix(7)) of its number, which two test files
 * side by side can't both have, and which the kernel takes back whatever becomes of us. A file would have to be cleaned up after a kill.
 */
export const freePort = async (): Promise<number> => {
  for (let n = 0; n < TRIES; n++) {
    const port = FIRST + APART * randomInt((END - FIRST) / APART)
    const claim = await listening({ path: `\0reckon-test-port-${port}` })
    if (claim === undefined) continue
    claim.unref()
    const probe = await listening({ port })
    if (probe === undefined) {
      claim.close()
      continue
    }
    await new Promise((resolve) => probe.close(resolve))
    return port
  }
  throw new Error(`no free port was found between ${FIRST} and ${END - 1}`)
}
