/** The subresources through which an object is changed. Those that stream or sign (exec, log, token) change none, and are HTTP's. */
import { binding } from './binding.ts'
import { eviction } from './eviction.ts'
import { half } from './halves.ts'
import { scale } from './scale.ts'
import type { StoredSubresource } from './StoredSubresource.ts'

export const SUBRESOURCES: ReadonlyMap<string, StoredSubresource> = new Map([
  ['binding', binding],
  ['eviction', eviction],
  ['finalize', half],
  ['scale', scale],
  ['status', half]
])
