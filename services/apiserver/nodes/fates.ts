/** Looks in the log for what has become of pods that run on a node without a binding: each event names the one before it. */
import { PODS } from '#events/collections.ts'
import type { Fate, Origin, Stray } from '#events/node/messages.ts'
import { subjectOf } from '#events/Subject.ts'
import type { Views } from '#services/platform/Views.ts'
import { fateOf, type NameHistory } from './decide.ts'

const KUBE_SYSTEM = { group: '', resource: 'namespaces', namespace: '', name: 'kube-system' }
/** Events of one name looked through; what is older stays unknown. */
const LOOK_BACK = 2_000
const PARALLEL = 16

/** Which cluster this is, and how often a loss was accepted in it. */
export const originIn = async (views: Views): Promise<Origin> => {
  const cluster = views.get(KUBE_SYSTEM)?.object.metadata.uid
  if (cluster === undefined) throw new Error('the cluster has no kube-system namespace yet')
  return { cluster, epoch: (await views.of(PODS).log.state()).epoch }
}

/** In the order of the pods. Rejects when the log does not answer: nothing is said that is not known. */
export const fatesIn = async (views: Views, node: string, pods: readonly Stray[]): Promise<readonly Fate[]> => {
  const { epoch } = await originIn(views)
  const view = views.of(PODS)
  // The agent may know of pods that are not folded here yet.
  await view.waitFor(await view.log.lastSequence())
  const fates: Fate[] = []
  for (let at = 0; at < pods.length; at += PARALLEL) {
    const some = pods.slice(at, at + PARALLEL)
    fates.push(...(await Promise.all(some.map(async (pod) => fateOf(pod, node, await historyOf(views, pod, epoch > 0))))))
  }
  return fates
}

const historyOf = async (views: Views, { namespace, name, uid }: Stray, lossAccepted: boolean): Promise<NameHistory> => {
  const view = views.of(PODS)
  const { log, objects } = view
  const key = { ...PODS, namespace, name }
  const subject = subjectOf(view.stream, key)
  const present = objects.get(key)?.object
  const deleted = new Set<string>()
  let made = Date.parse(present?.metadata.creationTimestamp ?? '') || 0
  let sequence = present?.metadata.uid === uid ? 0 : await view.headOf(key)
  for (let steps = 0; sequence > 0; steps++) {
    const entry = steps < LOOK_BACK ? await log.get(sequence, subject) : undefined
    if (entry === undefined) return { present, deleted, made, whole: false, lossAccepted }
    const version = view.versionOf(entry)
    // What is not ours stands between two events of the pod's, and its word counts for nothing.
    if (version === undefined) {
      sequence = (await log.lastOn(subject, sequence - 1))?.sequence ?? 0
      continue
    }
    if (version.facts.deleted) {
      const { metadata } = version.object
      deleted.add(metadata.uid as string)
      made = Math.max(made, Date.parse(metadata.creationTimestamp ?? '') || 0)
      if (metadata.uid === uid) break
    }
    sequence = version.facts.expected
  }
  // Of what was deleted before the floor nothing is left.
  return { present, deleted, made, whole: view.floor === 0, lossAccepted }
}
