/** What must hold of BINDINGS: what a node was told is never taken back by one who knew less, and in the end it is what the log says. */
import { at } from '#test/support/kinds.ts'
import { decodeFacts } from '#events/Event.ts'
import type { LogEntry } from '#events/Log.ts'
import { bindingSubject } from '#events/node/messages.ts'
import { asOfIn, updateOf } from '#services/platform/bindings.ts'
import type { Observed } from '#services/platform/Runtime.ts'
import { BINDING_SEAL } from './Process.ts'
import type { World } from './World.ts'

const PODS = { group: '', resource: 'pods' }

interface Told {
  /** undefined: that it is gone. */
  readonly uid: string | undefined
  /** The place of the pod's version in EVENTS. */
  readonly version: number
  readonly asOf: number
}

const toldBy = (entry: LogEntry): Told => {
  const { binding } = updateOf(entry, BINDING_SEAL)
  return { uid: binding?.pod.metadata?.uid, version: Number(binding?.cause.ref.split(':')[1] ?? 0), asOf: asOfIn(entry.headers) }
}

/** By uid: where its pod came to be. */
const births = async ({ logs }: World): Promise<Map<string, number>> => {
  const found = new Map<string, number>()
  const last = await logs.EVENTS.lastSequence()
  for (let sequence = 1; sequence <= last; sequence++) {
    const entry = await logs.EVENTS.get(sequence)
    if (entry === undefined || !entry.subject.startsWith('ev.core.pods.') || decodeFacts('EVENTS', entry).expected !== 0) continue
    found.set((JSON.parse(entry.text) as { metadata: { uid: string } }).metadata.uid, sequence)
  }
  return found
}

export const checkBindings = async (world: World): Promise<string[]> => {
  const faults: string[] = []
  const born = await births(world)
  const last = new Map<string, Told>()
  const buried = new Map<string, Set<string>>()
  for (const entry of world.stored.BINDINGS) {
    const { subject, sequence } = entry
    const [before, now] = [last.get(subject), toldBy(entry)]
    const gone = buried.get(subject) ?? new Set()
    buried.set(subject, gone)
    last.set(subject, now)
    if (before === undefined) continue
    if (now.asOf < before.asOf)
      faults.push(`binding ${sequence} of ${subject} was written as of event ${now.asOf}, over one as of ${before.asOf}`)
    if (now.uid === undefined && before.uid !== undefined) gone.add(before.uid)
    if (now.uid === undefined) continue
    if (gone.has(now.uid)) faults.push(`binding ${sequence} of ${subject} brings back ${now.uid}, which was taken back`)
    if (before.uid === now.uid && now.version < before.version)
      faults.push(`binding ${sequence} of ${subject} is of event ${now.version}, over one of ${before.version}`)
    if (before.uid !== undefined && before.uid !== now.uid && (born.get(now.uid) ?? 0) < (born.get(before.uid) ?? 0))
      faults.push(`binding ${sequence} of ${subject} is of an older pod than the one before`)
  }
  const wanted = new Map(
    [...(world.api?.views.collection(PODS).values() ?? [])].map(({ object }) => [
      bindingSubject(
        (at(object, 'spec.nodeName') as string | undefined) ?? '',
        object.metadata.namespace as string,
        object.metadata.name as string
      ),
      object.metadata.uid
    ])
  )
  for (const [subject, { uid }] of last)
    if (uid !== undefined && wanted.get(subject) !== uid) faults.push(`${subject} is told to run ${uid}, which is not there`)
  for (const [subject, uid] of wanted)
    if (!subject.startsWith('bind..') && last.get(subject)?.uid !== uid) faults.push(`${subject} is not told to run ${uid}`)
  return faults
}

interface Said {
  readonly phase?: string
  readonly containerStatuses?: readonly { readonly name: string; readonly containerID?: string; readonly restartCount: number }[]
}

/** Pods that are not as they are said to be: nothing runs of them, or what runs is another container than was reported last. */
export const lostPods = async (world: World): Promise<string[]> => {
  const lost: string[] = []
  const running = new Map<string, Observed[]>()
  for (const [node, runtime] of world.machines)
    for (const one of await runtime.list()) {
      if (one.state !== 'running' || one.identity.container === '') continue
      const key = `${node} ${one.identity.podUid}`
      running.set(key, [...(running.get(key) ?? []), one])
    }
  for (const { object } of world.api?.views.collection(PODS).values() ?? []) {
    const { phase, containerStatuses = [] } = (object['status'] ?? {}) as Said
    const node = (at(object, 'spec.nodeName') as string | undefined) ?? ''
    const there = running.get(`${node} ${object.metadata.uid}`) ?? []
    const name = object.metadata.name as string
    if (phase === 'Running' && there.length === 0) lost.push(`${name} is said to run on ${node}, and does not`)
    for (const { id, identity } of there) {
      const said = containerStatuses.find((one) => one.name === identity.container)
      if (said?.containerID?.endsWith(id) !== true)
        lost.push(
          `${identity.container} of ${name} runs on ${node} as ${id.slice(0, 12)}, and is said to be ${said?.containerID?.slice(0, 24) ?? 'nothing'}, restarted ${said?.restartCount ?? 0} times`
        )
    }
  }
  return lost
}
