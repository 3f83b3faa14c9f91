/** The namespace controller: looks at a namespace when it changes, and again while things are left in it. */
import { NAMESPACES } from '#events/collections.ts'
import { watch, type ControllerDefinition } from '#services/platform/decision.ts'
import { decide, NAME } from './decide.ts'

export const namespace: ControllerDefinition = { name: NAME, watches: [watch(NAMESPACES, ({ entry }) => [entry.id])], decide }
