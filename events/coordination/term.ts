/**
 * Terms of leadership: where one begins is a version of a ConfigMap in EVENTS, the stream the leader's writes go to. So what a
 * leader asks for stands on one side of the line or on the other, whatever anybody's clock says. Plain.
 */
import { LEASES } from '#events/collections.ts'
import type { ObjectKey } from '#events/Key.ts'
import type { Lease } from '#events/schema/generated/coordination.v1.ts'
import { Refusal, type Status } from '#events/Refusal.ts'

/** The leadership an intent is asked for under; refused when another one has begun. */
export interface Term {
  /** The Lease's name, and the marker's: `kube-controller-manager`. */
  readonly lease: string
  /** The marker's version this term began with. */
  readonly sequence: number
}

/** Leases of components, and their markers. */
export const LEASE_NAMESPACE = 'kube-system'

export const leaseKey = (name: string): ObjectKey<Lease> => ({ ...LEASES, namespace: LEASE_NAMESPACE, name })

export const markerKey = (name: string): ObjectKey => ({ group: '', resource: 'configmaps', namespace: LEASE_NAMESPACE, name })

const ENDED = 'TermEnded'

/** 409, which is no news to who looks again; the cause tells a leader that it is none. */
export const termEnded = ({ lease, sequence }: Term): Refusal =>
  new Refusal(
    409,
    'Conflict',
    `Operation cannot be fulfilled: the term of ${lease} that began with resourceVersion ${sequence} has ended; another one leads`,
    { causes: [{ reason: ENDED, message: lease }] }
  )

export const isTermEnded = (status: Status): boolean => status.details?.causes?.some(({ reason }) => reason === ENDED) === true
