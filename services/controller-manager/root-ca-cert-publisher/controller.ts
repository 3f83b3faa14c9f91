/** The CA publisher: looks at a namespace when it or its CA ConfigMap changes. */
import { CONFIGMAPS, NAMESPACES } from '#events/collections.ts'
import { watch, type ControllerDefinition } from '#services/platform/decision.ts'
import { CONFIGMAP, decide, NAME } from './decide.ts'

export const rootCaCertPublisher = (ca: string): ControllerDefinition => ({
  name: NAME,
  watches: [
    watch(NAMESPACES, ({ entry }) => [entry.key.name]),
    watch(CONFIGMAPS, ({ entry }) => (entry.key.name === CONFIGMAP ? [entry.key.namespace] : []))
  ],
  decide: (view, key) => decide(view, key, ca)
})
