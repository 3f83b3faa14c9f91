/** The controller of CustomResourceDefinitions: one that changes may give its names to others of its group, or take them. */
import { hasCondition, specOf, statusOf } from '#events/apiextensions/definition.ts'
import { DEFINITIONS } from '#events/collections.ts'
import { watch, type ControllerDefinition } from '#services/platform/decision.ts'
import { decide, NAME } from './decide.ts'

export const customresourcedefinition: ControllerDefinition = {
  name: NAME,
  watches: [
    watch(DEFINITIONS, ({ type, entry }, view) => {
      if (type === 'ADDED' && statusOf(entry.object).conditions === undefined) return [entry.id]
      // Who has all the names it asked for keeps them, whatever others do: of hundreds in a group few are looked at again.
      const group = view.collection(DEFINITIONS).indexed('group', specOf(entry.object).group ?? '')
      const others = [...group].filter(({ object }) => !hasCondition(object, 'NamesAccepted'))
      return [...new Set([entry.id, ...others.map(({ id }) => id)])]
    })
  ],
  decide
}
