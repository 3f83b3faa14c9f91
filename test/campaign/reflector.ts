/** A client that lists once and watches from there, over whatever breaks in between, as client-go's reflector does. */
import { at } from '#test/support/kinds.ts'
import { readFileSync } from 'node:fs'
import { Agent, request, type RequestOptions } from 'node:https'
import { setTimeout as wait } from 'node:timers/promises'
import type { KubeObject } from '#events/KubeObject.ts'
import { pkiFile } from '#ops/pki/pki.ts'
import type { Plane } from '#test/support/plane.ts'
import { NAMESPACE } from './load.ts'

export interface Seen {
  readonly type: string
  readonly name: string
  readonly sequence: number
  readonly value: string
}

const PATH = `/api/v1/namespaces/${NAMESPACE}/configmaps`
const PAUSE_MS = 100

export class Reflector {
  /** Changes in the order they came. */
  readonly seen: Seen[] = []
  /** What a client must never be told, or what could not be understood. */
  readonly faults: string[] = []
  /** Times the watch was begun again. */
  watches = 0
  readonly #plane: Plane
  readonly #name: string
  readonly #agent: Agent
  #from = 0
  #version = 0
  #running = false
  #abort = new AbortController()
  #done: Promise<void> = Promise.resolve()

  constructor(plane: Plane, name: string) {
    this.#plane = plane
    this.#name = name
    const [ca, cert, key] = ['ca.crt', 'admin.crt', 'admin.key'].map((file) => readFileSync(pkiFile(plane.home, file))) as [
      Buffer,
      Buffer,
      Buffer
    ]
    this.#agent = new Agent({ ca, cert, key })
  }
  async start(): Promise<void> {
    const { status, body } = await this.#plane.call('GET', PATH)
    if (status !== 200) throw new Error(`the list was answered with ${status}: ${body}`)
    this.#from = this.#version = Number((JSON.parse(body) as { metadata: { resourceVersion: string } }).metadata.resourceVersion)
    this.#running = true
    this.#done = this.#run()
  }
  /** Waits until everything up to a version was seen, then ends. False when it did not come. */
  async stop(last: number, ms: number): Promise<boolean> {
    const deadline = Date.now() + ms
    while (this.#version < last && Date.now() < deadline) await wait(20)
    this.#running = false
    this.#abort.abort()
    this.#agent.destroy()
    await this.#done
    return this.#version >= last
  }
  /** Each change of the log behind the list, once, in order, and nothing else. */
  faultsAgainst(log: readonly Seen[]): string[] {
    const faults = [...this.faults]
    const expected = log.filter(({ sequence }) => sequence > this.#from)
    for (let at = 0; at < Math.max(expected.length, this.seen.length); at++) {
      const [want, have] = [expected[at], this.seen[at]]
      // A name that is made again is an addition, though its subject has a past.
      if (
        want !== undefined &&
        have !== undefined &&
        want.sequence === have.sequence &&
        want.name === have.name &&
        want.value === have.value &&
        (want.type === 'DELETED') === (have.type === 'DELETED')
      )
        continue
      faults.push(
        `${this.#name}: change ${at} should be ${want === undefined ? 'none' : `${want.type} ${want.name} ${want.sequence}`}, and was ${have === undefined ? 'none' : `${have.type} ${have.name} ${have.sequence}`}`
      )
      break
    }
    return faults
  }
  async #run(): Promise<void> {
    while (this.#running) {
      this.watches += 1
      await this.#watch().catch(() => {})
      if (this.#running) await wait(PAUSE_MS)
    }
  }
  /** Resolves or rejects when the connection ends. */
  #watch(): Promise<void> {
    this.#abort = new AbortController()
    const options: RequestOptions = {
      host: '127.0.0.1',
      port: this.#plane.config.apiPort,
      agent: this.#agent,
      path: `${PATH}?watch=true&resourceVersion=${this.#version}`,
      signal: this.#abort.signal
    }
    return new Promise((resolve, reject) => {
      const asked = request(options, (response) => {
        let rest = ''
        response.setEncoding('utf8')
        // Server errors pass; a version that is said to be too old or too new never should be.
        if (response.statusCode !== 200 && (response.statusCode ?? 0) < 500)
          this.faults.push(`${this.#name}: the watch from ${this.#version} was answered with ${response.statusCode}`)
        response.on('data', (chunk: string) => {
          if (response.statusCode !== 200) return
          const lines = (rest + chunk).split('\n')
          rest = lines.pop() as string
          for (const line of lines) this.#take(line)
        })
        response.on('end', resolve)
        response.on('error', reject)
      })
      asked.on('error', reject)
      asked.end()
    })
  }
  #take(line: string): void {
    const { type, object } = JSON.parse(line) as { type: string; object: KubeObject & { code?: number; message?: string } }
    if (type === 'ERROR') {
      if (object.code === 410) this.faults.push(`${this.#name}: told that ${this.#version} is too old: ${object.message}`)
      return
    }
    const sequence = Number(object.metadata.resourceVersion)
    this.#version = sequence
    this.seen.push({ type, name: object.metadata.name as string, sequence, value: (at(object, 'data.value') as string | undefined) ?? '' })
  }
}
