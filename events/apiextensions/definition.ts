/** What a CustomResourceDefinition holds, as far as it is read here; the types of `apiextensions.k8s.io/v1`. */
import { DEFINITIONS } from '#events/collections.ts'
import type { Condition } from '#events/meta/Conditions.ts'
import type { JsonSchema } from '#events/schema/structural.ts'
import type { KubeObject } from '#events/KubeObject.ts'

export interface Names {
  plural: string
  singular?: string
  kind: string
  listKind?: string
  shortNames?: readonly string[]
  categories?: readonly string[]
}

export interface PrinterColumn {
  readonly name: string
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date'
  readonly format?: string
  readonly description?: string
  readonly priority?: number
  readonly jsonPath: string
}

export interface DefinedVersion {
  readonly name: string
  readonly served: boolean
  readonly storage: boolean
  readonly deprecated?: boolean
  readonly deprecationWarning?: string
  readonly schema?: { readonly openAPIV3Schema?: JsonSchema }
  readonly subresources?: {
    readonly status?: object
    readonly scale?: { readonly specReplicasPath: string; readonly statusReplicasPath: string; readonly labelSelectorPath?: string }
  }
  readonly additionalPrinterColumns?: readonly PrinterColumn[]
  readonly selectableFields?: readonly { readonly jsonPath: string }[]
}

export interface DefinitionSpec {
  group: string
  names: Names
  scope: 'Cluster' | 'Namespaced'
  versions: DefinedVersion[]
  conversion?: { strategy?: 'None' | 'Webhook'; webhook?: { conversionReviewVersions?: readonly string[]; clientConfig?: object } }
  preserveUnknownFields?: boolean
}

export interface DefinitionStatus {
  conditions?: readonly Condition[]
  acceptedNames?: Partial<Names>
  storedVersions?: readonly string[]
}

/** Kept by a definition that is going until its objects are gone. */
export const CLEANUP = 'customresourcecleanup.apiextensions.k8s.io'

/** Half a definition while it comes in: nothing is checked yet. */
export const specOf = (definition: KubeObject): Partial<DefinitionSpec> => (definition['spec'] ?? {}) as Partial<DefinitionSpec>
export const statusOf = (definition: KubeObject): DefinitionStatus => (definition['status'] ?? {}) as DefinitionStatus

export const hasCondition = (definition: KubeObject, type: string, status = 'True'): boolean =>
  statusOf(definition).conditions?.some((condition) => condition.type === type && condition.status === status) === true
