/** The service account controller: looks at a namespace when it or an account in it changes. */
import { SERVICE_ACCOUNTS } from '#events/collections.ts'
import type { ControllerDefinition } from '#services/platform/decision.ts'
import { decide, NAME } from './decide.ts'

export const serviceaccount: ControllerDefinition = {
  name: NAME,
  watches: [
    { ref: { group: '', resource: 'namespaces' }, keys: ({ entry }) => [entry.key.name] },
    { ref: SERVICE_ACCOUNTS, keys: ({ entry, type }) => (type === 'DELETED' ? [entry.key.namespace] : []) }
  ],
  decide
}
