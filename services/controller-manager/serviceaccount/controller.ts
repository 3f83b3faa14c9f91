/** The service account controller: looks at a namespace when it or an account in it changes. */
import type { ControllerDefinition } from '../../platform/decision.ts'
import { ACCOUNTS, decide, NAME } from './decide.ts'

export const serviceaccount: ControllerDefinition = {
  name: NAME,
  watches: [
    { ref: { group: '', resource: 'namespaces' }, keys: ({ entry }) => [entry.key.name] },
    { ref: ACCOUNTS, keys: ({ entry, type }) => (type === 'DELETED' ? [entry.key.namespace] : []) }
  ],
  decide
}
