/** The controller of CustomResourceDefinitions: one that changes may give its names to others of its group, or take them. */
import { DEFINITIONS } from '#events/collections.ts'
import { specOf } from '#events/apiextensions/definition.ts'
import type { ControllerDefinition } from '../../platform/decision.ts'
import { decide, NAME } from './decide.ts'

export const customresourcedefinition: ControllerDefinition = {
  name: NAME,
  watches: [
    {
      ref: DEFINITIONS,
      keys: ({ type, entry }, view) => {
        if (type === 'ADDED' && entry.object['status']?.conditions === undefined) return [entry.id]
        const { group } = specOf(entry.object)
        return [...new Set([entry.id, ...view.collection(DEFINITIONS).list().filter(({ object }) => specOf(object).group === group).map(({ id }) => id)])]
      }
    }
  ],
  decide
}
