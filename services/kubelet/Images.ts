/** Images for containers: present, pulled by policy, or a fault with back-off, in upstream's words. */
import type { Container } from '#events/schema/generated/core.v1.ts'
import type { Binding } from '#events/node/messages.ts'
import type { Clock } from '#services/platform/Clock.ts'
import { isImageName, pullCredentials, pullPolicy } from './container/image.ts'
import { RuntimeError, type Image, type Runtime } from '#services/platform/Runtime.ts'

/** Stops a container's start; the API shows `reason` and `message` until `retryAt` and beyond. */
export class StartFault extends Error {
  override readonly name = 'StartFault'
  readonly reason: string
  readonly retryAt: number
  constructor(reason: string, message: string, retryAt: number) {
    super(message)
    this.reason = reason
    this.retryAt = retryAt
  }
}

export type Tell = (type: 'Normal' | 'Warning', reason: string, message: string) => void

const FIRST_MS = 10_000
const LAST_MS = 300_000
const SHOWN_MS = 1_000
const INVALID_RETRY_MS = 10_000
/** Pods × images remembered; the oldest are forgiven first. */
const REMEMBERED = 4_096

interface BackOff {
  readonly failures: number
  readonly until: number
  readonly why: string
}

export class Images {
  readonly #runtime: Runtime
  readonly #clock: Clock
  readonly #backOff = new Map<string, BackOff>()
  /** Pulls under way, by image and credentials: pods that ask for the same wait together. */
  readonly #pulls = new Map<string, Promise<Image>>()

  constructor(runtime: Runtime, clock: Clock) {
    this.#runtime = runtime
    this.#clock = clock
  }
  /** Rejects with a StartFault. */
  async ensure(binding: Binding, container: Container, tell: Tell): Promise<Image> {
    const { image: name = '' } = container
    const now = this.#clock.now()
    if (!isImageName(name)) {
      const message = `Failed to apply default image tag "${name}": couldn't parse image name "${name}": invalid reference format`
      tell('Warning', 'InspectFailed', message)
      tell('Warning', 'Failed', 'Error: InvalidImageName')
      throw new StartFault('InvalidImageName', message, now + INVALID_RETRY_MS)
    }
    const policy = pullPolicy(container)
    const present = policy === 'Always' ? undefined : await this.#runtime.image(name)
    if (present !== undefined) {
      tell('Normal', 'Pulled', `Container image "${name}" already present on machine`)
      return present
    }
    if (policy === 'Never') {
      const message = `Container image "${name}" is not present with pull policy of Never`
      tell('Warning', 'ErrImageNeverPull', message)
      tell('Warning', 'Failed', 'Error: ErrImageNeverPull')
      throw new StartFault('ErrImageNeverPull', message, now + INVALID_RETRY_MS)
    }
    return this.#pull(binding, name, tell)
  }
  async #pull(binding: Binding, name: string, tell: Tell): Promise<Image> {
    const key = `${binding.pod.metadata?.uid} ${name}`
    const known = this.#backOff.get(key)
    const began = this.#clock.now()
    if (known !== undefined && known.until > began) {
      tell('Normal', 'BackOff', `Back-off pulling image "${name}"`)
      tell('Warning', 'Failed', 'Error: ImagePullBackOff')
      throw new StartFault('ImagePullBackOff', `Back-off pulling image "${name}": ErrImagePull: ${known.why}`, known.until)
    }
    tell('Normal', 'Pulling', `Pulling image "${name}"`)
    const credentials = pullCredentials(binding, name)
    let failure: unknown
    for (const auth of credentials.length === 0 ? [undefined] : credentials) {
      try {
        const pull = auth === undefined ? this.#shared(name) : this.#runtime.pull(name, auth)
        const image = await pull
        this.#backOff.delete(key)
        const took = `${Math.round(this.#clock.now() - began)}ms`
        tell(
          'Normal',
          'Pulled',
          `Successfully pulled image "${name}" in ${took} (${took} including waiting). Image size: ${image.sizeBytes} bytes.`
        )
        return image
      } catch (error) {
        failure = error
      }
    }
    const why = failure instanceof Error ? failure.message : String(failure)
    const failures = (known?.failures ?? 0) + 1
    const now = this.#clock.now()
    if (this.#backOff.size >= REMEMBERED) this.#backOff.delete(this.#backOff.keys().next().value as string)
    this.#backOff.set(key, { failures, until: now + Math.min(LAST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 10)), why })
    tell('Warning', 'Failed', `Failed to pull image "${name}": ${why}`)
    tell('Warning', 'Failed', 'Error: ErrImagePull')
    throw new StartFault('ErrImagePull', why, now + SHOWN_MS)
  }
  #shared(name: string): Promise<Image> {
    const running = this.#pulls.get(name)
    if (running !== undefined) return running
    const pull = this.#runtime.pull(name, undefined).finally(() => this.#pulls.delete(name))
    this.#pulls.set(name, pull)
    return pull
  }
  forget(podUid: string): void {
    for (const key of this.#backOff.keys()) if (key.startsWith(`${podUid} `)) this.#backOff.delete(key)
  }
}

export const wordsOf = (error: unknown): string => (error instanceof RuntimeError || error instanceof Error ? error.message : String(error))
