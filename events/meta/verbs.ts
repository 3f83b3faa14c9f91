/** The verbs most kinds offer, and their usual subresources. */
import type { Subresource, Verb } from '#events/Kind.ts'

export const ALL_VERBS: readonly Verb[] = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']

export const STATUS: Subresource = { name: 'status', verbs: ['get', 'patch', 'update'] }
export const SCALE: Subresource = { name: 'scale', group: 'autoscaling', version: 'v1', kind: 'Scale', verbs: ['get', 'patch', 'update'] }
