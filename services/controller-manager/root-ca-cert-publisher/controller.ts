/** The CA publisher: looks at a namespace when it or its CA ConfigMap changes. */
import { CONFIGMAPS } from '#events/collections.ts'
import type { ControllerDefinition } from '#services/platform/decision.ts'
import { CONFIGMAP, decide, NAME } from './decide.ts'

export const rootCaCertPublisher = (ca: string): ControllerDefinition => ({
  name: NAME,
  watches: [
    { ref: { group: '', resource: 'namespaces' }, keys: ({ entry }) => [entry.key.name] },
    { ref: CONFIGMAPS, keys: ({ entry }) => (entry.key.name === CONFIGMAP ? [entry.key.namespace] : []) }
  ],
  decide: (view, key) => decide(view, key, ca)
})
