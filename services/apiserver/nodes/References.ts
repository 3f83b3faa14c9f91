/** Which pods name a ConfigMap or a Secret, kept up to date pod by pod, so that a change of one looks at those and no others. */
import type { Pod } from '#events/schema/generated/core.v1.ts'
import { referencesOf } from './decide.ts'

export type Referred = 'configmaps' | 'secrets'

export class References {
  /** By pod id: what it was indexed as. */
  readonly #pods = new Map<string, { readonly version: string; readonly keys: readonly string[] }>()
  /** By `<resource>/<namespace>/<name>`: ids of pods. */
  readonly #named = new Map<string, Set<string>>()

  set(id: string, pod: Pod): void {
    const { metadata } = pod
    // A spec that changes has another generation; reports of status, which are most of what happens to a pod, end here.
    const version = `${metadata.uid} ${metadata.generation ?? 0}`
    if (this.#pods.get(id)?.version === version) return
    this.delete(id)
    const namespace = metadata.namespace ?? ''
    const { configMaps, secrets } = referencesOf(pod)
    const keys = [
      ...Array.from(configMaps, (name) => keyOf('configmaps', namespace, name)),
      ...Array.from(secrets, (name) => keyOf('secrets', namespace, name))
    ]
    this.#pods.set(id, { version, keys })
    for (const key of keys) {
      const named = this.#named.get(key)
      if (named === undefined) this.#named.set(key, new Set([id]))
      else named.add(id)
    }
  }
  delete(id: string): void {
    for (const key of this.#pods.get(id)?.keys ?? []) {
      const named = this.#named.get(key)
      named?.delete(id)
      if (named?.size === 0) this.#named.delete(key)
    }
    this.#pods.delete(id)
  }
  /** Ids (`ns/name`) of the pods that name it. */
  of(resource: Referred, namespace: string, name: string): Iterable<string> {
    return this.#named.get(keyOf(resource, namespace, name)) ?? []
  }
}

const keyOf = (resource: Referred, namespace: string, name: string): string => `${resource}/${namespace}/${name}`
