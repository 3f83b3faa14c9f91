/**
 * A tiny model of the API for deciders' tests: objects folded as in a view, and asks performed at once with the few rules
 * deciders rely on: versions as locks, generations, graceful deletion of pods, finalizers.
 */
import { NODES, PODS } from '#events/collections.ts'
import { asOneOf, type KubeObject } from '#events/KubeObject.ts'
import type { Node, Pod } from '#events/schema/generated/core.v1.ts'
import { builtIns, kindNamed, KINDS } from './builtIns.ts'
import type { OfKind } from './kinds.ts'
import { applyMergePatch } from '#services/apiserver/patch/merge.ts'
import { Objects, type Change, type ObjectsView } from '#projections/Objects.ts'
import type { Ask, ControllerDefinition, Decision } from '#services/platform/decision.ts'

/** `2030-01-01T00:00:00Z`, when models begin. */
export const BEGINNING = Date.UTC(2030, 0, 1)

export class Model {
  readonly objects = new Objects(builtIns)
  readonly view: ObjectsView = this.objects
  readonly changes: Change[] = []
  now = BEGINNING
  #sequence = 0
  #uids = 0

  get time(): string {
    return `${new Date(this.now).toISOString().slice(0, 19)}Z`
  }
  /** Stores the object as it is, with what every stored object has. */
  put<Some extends KubeObject>(object: Some): Some {
    const [group = '', version = ''] = object.apiVersion.includes('/') ? object.apiVersion.split('/') : ['', object.apiVersion]
    const kind = kindNamed(group, version, object.kind)
    if (kind === undefined) throw new Error(`no kind ${object.kind}`)
    const namespace = kind.namespaced ? (object.metadata.namespace ?? 'default') : undefined
    this.#sequence += 1
    const stored: Some = {
      ...object,
      metadata: {
        uid: `uid-${++this.#uids}`,
        creationTimestamp: this.time,
        ...(kind.hasGeneration === true ? { generation: 1 } : {}),
        ...object.metadata,
        ...(namespace === undefined ? {} : { namespace }),
        resourceVersion: String(this.#sequence)
      }
    }
    this.#apply(stored, kind, false)
    return stored
  }
  /** Stores the present object with a change: `model.change(pod, { status: … })`, halves replaced as a whole. */
  change<Some extends KubeObject>(object: Some, change: Record<string, unknown>): Some {
    return this.put({ ...this.get(object), ...change })
  }
  gone(object: KubeObject): void {
    const [group = '', version = ''] = object.apiVersion.includes('/') ? object.apiVersion.split('/') : ['', object.apiVersion]
    this.#sequence += 1
    this.#apply(
      { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#sequence) } },
      kindNamed(group, version, object.kind) as NonNullable<ReturnType<typeof kindNamed>>,
      true
    )
  }
  #apply(object: KubeObject, kind: { group: string; resource: string }, deleted: boolean): void {
    const key = {
      group: kind.group,
      resource: kind.resource,
      namespace: object.metadata.namespace ?? '',
      name: object.metadata.name as string
    }
    const change = this.objects.apply(
      {
        id: String(this.#sequence),
        type: 't',
        source: 's',
        time: new Date(this.now).toISOString(),
        user: '',
        correlationId: '',
        verb: 'update',
        stream: 'EVENTS',
        key,
        deleted,
        expected: 0,
        sequence: this.#sequence,
        stored: this.now
      },
      '',
      structuredClone(object)
    )
    if (change !== undefined) this.changes.push(change)
  }
  /** The object as it is now. */
  get<Some extends KubeObject>(object: Some): Some {
    const found = this.find(object)
    if (found === undefined) throw new Error(`${object.kind} ${object.metadata.name} is gone`)
    return found
  }
  find<Some extends KubeObject>(object: Some): Some | undefined {
    const [group = '', version = ''] = object.apiVersion.includes('/') ? object.apiVersion.split('/') : ['', object.apiVersion]
    const kind = kindNamed(group, version, object.kind)
    if (kind === undefined) throw new Error(`no kind ${object.kind}`)
    return this.objects.get<Some>({
      group: kind.group,
      resource: kind.resource,
      namespace: kind.namespaced ? (object.metadata.namespace ?? 'default') : '',
      name: object.metadata.name as string
    })?.object
  }
  /** `list('Pod')`: in order of names. */
  list<Name extends string>(kind: Name): OfKind<Name>[] {
    const found = KINDS.find((candidate) => candidate.kind === kind)
    if (found === undefined) throw new Error(`no kind ${kind}`)
    return this.objects
      .collection<OfKind<Name>>({ group: found.group, resource: found.resource })
      .list()
      .map(({ object }) => object)
  }
  /** The message of the refusal, or undefined. */
  perform(ask: Ask): string | undefined {
    const { group, resource } = ask.ref
    const kind = KINDS.find((candidate) => candidate.group === group && candidate.resource === resource)
    if (kind === undefined) throw new Error(`no kind ${resource}`)
    if (ask.verb === 'create') {
      const object = structuredClone(ask.object) as KubeObject
      const name = object.metadata.name ?? `${object.metadata.generateName}${(++this.#uids).toString(36).padStart(5, '0')}`
      if (this.objects.get({ ...ask.ref, namespace: ask.namespace, name }) !== undefined) return 'AlreadyExists'
      kind.prepareForCreate?.(object, { now: this.time })
      kind.default?.(object)
      this.put({ ...object, metadata: { ...object.metadata, name } })
      return undefined
    }
    const old = this.objects.get({ ...ask.ref, namespace: ask.namespace, name: ask.name })?.object
    if (old === undefined) return 'NotFound'
    if (ask.verb === 'delete') return this.#delete(old, kind, ask)
    const next = (ask.verb === 'update' ? structuredClone(ask.object) : applyMergePatch(old, ask.patch?.body)) as KubeObject
    const { resourceVersion, uid } =
      ask.verb === 'update' ? (ask.object as KubeObject).metadata : ((ask.patch?.body as KubeObject).metadata ?? {})
    if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion) return 'Conflict'
    if (uid !== undefined && uid !== old.metadata.uid) return 'Conflict'
    const status = ask.subresource === 'status'
    // Of a Deployment's metadata a status write may change all but the labels; no other controller's asks to.
    const annotations = next.metadata.annotations
    const merged: KubeObject = status
      ? { ...old, metadata: { ...old.metadata, ...(annotations === undefined ? {} : { annotations }) }, status: next['status'] }
      : kind.hasStatus === true
        ? { ...next, status: old['status'] }
        : next
    if (kind.hasGeneration === true && JSON.stringify(merged['spec']) !== JSON.stringify(old['spec']))
      merged.metadata = { ...merged.metadata, generation: (old.metadata.generation ?? 1) + 1 }
    if (merged.metadata.deletionTimestamp !== undefined && (merged.metadata.finalizers ?? []).length === 0 && kind.kind !== 'Pod')
      this.gone(merged)
    else this.put(merged)
    return undefined
  }
  #delete(old: KubeObject, kind: (typeof KINDS)[number], ask: Ask): string | undefined {
    const uid = ask.deleteOptions?.preconditions?.uid
    if (uid !== undefined && uid !== old.metadata.uid) return 'Conflict'
    const finalizers = new Set(old.metadata.finalizers ?? [])
    if (ask.deleteOptions?.propagationPolicy === 'Foreground') finalizers.add('foregroundDeletion')
    const graceful = kind.kind === 'Pod' && (asOneOf(PODS, old).spec.nodeName ?? '') !== '' && ask.deleteOptions?.gracePeriodSeconds !== 0
    if (finalizers.size === 0 && !graceful) this.gone(old)
    else if (old.metadata.deletionTimestamp === undefined || finalizers.size > (old.metadata.finalizers ?? []).length)
      this.put({
        ...old,
        metadata: { ...old.metadata, deletionTimestamp: this.time, ...(finalizers.size === 0 ? {} : { finalizers: [...finalizers] }) }
      })
    return undefined
  }
  decide(controller: ControllerDefinition, key: string, random = 0.5): Decision {
    return controller.decide(this.view, key, { api: builtIns, now: this.now, random })
  }
  /** Decides a key and performs what is asked, until nothing is; notices aside. Fails after `limit` rounds. */
  settle(controller: ControllerDefinition, key: string, limit = 50): void {
    for (let round = 0; round < limit; round++) {
      const asks = withoutNotices(this.decide(controller, key))
      if (asks.length === 0) return
      for (const ask of asks) {
        const refusal = this.perform(ask)
        if (refusal !== undefined) break
      }
    }
    throw new Error(`${controller.name} does not settle on ${key}: ${JSON.stringify(withoutNotices(this.decide(controller, key)))}`)
  }
}

export const isNotice = (ask: Ask): boolean => ask.ref.resource === 'events'
export const withoutNotices = (decision: Decision): Ask[] => decision.asks.filter((ask) => !isNotice(ask))
/** `create replicasets web-abc`, `update/status deployments web`: what was asked, in short. */
export const shown = (decision: Decision): string[] =>
  withoutNotices(decision).map(
    ({ verb, subresource, ref, name, object }) =>
      `${verb}${subresource === undefined ? '' : `/${subresource}`} ${ref.resource} ${name || object?.metadata.name || `${object?.metadata.generateName}*`}`
  )
/** `Normal SuccessfulCreate Created pod: web-1`; counted ones show nothing. */
export const notices = (decision: Decision): string[] =>
  decision.asks.flatMap((ask) =>
    isNotice(ask) && ask.object !== undefined ? [`${ask.object['type']} ${ask.object['reason']} ${ask.object['message']}`] : []
  )

export const node = (
  name: string,
  allocatable: Record<string, string> = { cpu: '4', memory: '8Gi', pods: '110' },
  more: { labels?: Record<string, string>; spec?: Record<string, unknown>; status?: Record<string, unknown> } = {}
): Node =>
  asOneOf(NODES, {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, ...more.labels } },
    spec: more.spec ?? {},
    status: { allocatable, conditions: [{ type: 'Ready', status: 'True' }], ...more.status }
  })

export const pod = (
  name: string,
  spec: Record<string, unknown> = {},
  requests: Record<string, string> | undefined = undefined,
  labels: Record<string, string> = { app: 'web' }
): Pod =>
  asOneOf(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels },
    spec: { containers: [{ name: 'main', image: 'web:1', ...(requests === undefined ? {} : { resources: { requests } }) }], ...spec },
    status: { phase: 'Pending' }
  })

/** Pod status of a container that runs, since the model's time. */
export const running = (ip: string, ready = true, since = '2029-12-31T23:00:00Z'): Record<string, unknown> => ({
  phase: 'Running',
  podIP: ip,
  podIPs: [{ ip }],
  conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: since }]
})
