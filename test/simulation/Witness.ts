/** Writes down, at moments of a seed, what was there; in the end every API server must say the same of these moments. */
import type { World } from './World.ts'

const SEEN = [
  { group: '', resource: 'pods' },
  { group: 'apps', resource: 'deployments' },
  { group: '', resource: 'configmaps' },
  { group: '', resource: 'services' }
] as const

interface Moment {
  readonly sequence: number
  /** Of each collection: its objects and their versions. */
  readonly there: readonly string[]
}

export class Witness {
  readonly #world: World
  readonly #moments: Moment[] = []

  constructor(world: World) {
    this.#world = world
  }
  look(): void {
    const view = this.#world.server()?.views.byStream.get('EVENTS')
    if (view === undefined) return
    const there = SEEN.map((ref) => textOf([...view.objects.collection(ref).values()]))
    this.#moments.push({ sequence: view.objects.sequence, there })
  }
  async faults(): Promise<string[]> {
    const faults: string[] = []
    for (const { process } of this.#world.apis) {
      const past = process.pasts.get('EVENTS')
      for (const { sequence, there } of this.#moments)
        for (const [at, ref] of SEEN.entries()) {
          const said = textOf((await past?.liveAt(ref, sequence)) ?? [])
          if (said !== there[at])
            faults.push(
              `${process.name} says that of ${ref.resource} at ${sequence} there was [${said}], and [${there[at]}] was folded then`
            )
        }
    }
    return faults
  }
}

const textOf = (entries: readonly { readonly id: string; readonly sequence: number }[]): string =>
  entries
    .map(({ id, sequence }) => `${id}@${sequence}`)
    .sort()
    .join(' ')
