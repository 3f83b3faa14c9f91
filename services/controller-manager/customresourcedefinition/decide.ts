/** The decision about one CustomResourceDefinition: its names are accepted or not; one that is going is emptied, then let go. */
import { DEFINITIONS } from '#events/collections.ts'
import { CustomResourceDefinition } from '#events/apiextensions/CustomResourceDefinition.ts'
import { CLEANUP, specOf, statusOf, type Names } from '#events/apiextensions/definition.ts'
import { statusWith, takenBy } from '#events/apiextensions/names.ts'
import type { Api } from '#events/Api.ts'
import { timestamp } from '#events/meta/time.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { conditionIn, setCondition, type Condition } from '#events/meta/Conditions.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '#services/platform/decision.ts'
import { merge, remove, updateStatus } from '#services/controller-manager/asks.ts'

export const NAME = 'customresourcedefinition-controller'
/** Objects asked to go in one decision. */
const BATCH = 200
const AGAIN_MS = 500

/** `key`: `/name`. */
export const decide = (view: ObjectsView, key: string, { api, now }: DecideContext): Decision => {
  const definition = view.get({ ...DEFINITIONS, namespace: '', name: key.slice(1) })?.object
  if (definition === undefined) return NOTHING
  if (definition.metadata.deletionTimestamp !== undefined) return empty(view, api, definition, timestamp(now))
  const { group } = specOf(definition)
  const others = [...view.collection(DEFINITIONS).indexed('group', group ?? '')]
    .map(({ object }) => object)
    .filter(({ metadata }) => metadata.uid !== definition.metadata.uid)
  const earlier = others.filter((other) => isBefore(other, definition))
  const builtIns = api.served.filter((kind) => kind.group === group && kind.schema === undefined)
  const status = statusWith(definition, takenBy(others, earlier, builtIns), timestamp(now))
  return status === statusOf(definition) ? NOTHING : { asks: [updateStatus(CustomResourceDefinition, definition, status)] }
}

/** Of two that nobody has judged yet the older one is judged first, whoever looks at which. */
const isBefore = (one: KubeObject, other: KubeObject): boolean => {
  const [left, right] = [one, other].map(({ metadata }) => `${metadata.creationTimestamp} ${metadata.name}`) as [string, string]
  return left < right
}

const BEGUN = {
  type: 'Terminating',
  status: 'True',
  reason: 'InstanceDeletionInProgress',
  message: 'CustomResource deletion is in progress'
} as const

const empty = (view: ObjectsView, api: Api, definition: KubeObject, now: string): Decision => {
  const finalizers = definition.metadata.finalizers ?? []
  if (!finalizers.includes(CLEANUP)) return NOTHING
  const { group = '', names } = specOf(definition)
  const ref = { group, resource: (names as Names).plural }
  const kind = api.kindOf(ref)
  const left = kind?.schema === undefined ? [] : view.collection(ref).list()
  if (kind === undefined || left.length === 0) {
    const rest = finalizers.filter((finalizer) => finalizer !== CLEANUP)
    const { uid, resourceVersion } = definition.metadata
    return { asks: [merge(CustomResourceDefinition, definition, { metadata: { uid, resourceVersion, finalizers: rest } })] }
  }
  const conditions = statusOf(definition).conditions
  const asks: Ask[] =
    conditionIn(conditions, 'Terminating')?.reason === BEGUN.reason
      ? []
      : [
          updateStatus(CustomResourceDefinition, definition, {
            ...statusOf(definition),
            conditions: setCondition<Condition>(conditions, BEGUN, now)
          })
        ]
  const asked = api.preferred(kind)
  for (const { object } of left)
    if (object.metadata.deletionTimestamp === undefined && asks.length < BATCH)
      asks.push(remove(asked, object, { propagationPolicy: 'Background' }))
  return { asks, requeueAfterMs: AGAIN_MS }
}
