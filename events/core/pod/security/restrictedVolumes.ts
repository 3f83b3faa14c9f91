/** A volume must be of a kind that reaches nothing the cluster did not hand out. */
import type { Volume } from '#events/schema/generated/core.v1.ts'
import { isGiven, type Check } from './Check.ts'
import { hostPathVolumes } from './hostPathVolumes.ts'
import { plural, quoted, sortedOnce } from './words.ts'

const ALLOWED = ['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'image', 'persistentVolumeClaim', 'projected', 'secret']
/** In the order they are named when a volume has several. */
const RESTRICTED = [
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'gitRepo',
  'nfs',
  'iscsi',
  'glusterfs',
  'rbd',
  'flexVolume',
  'cinder',
  'cephfs',
  'flocker',
  'fc',
  'azureFile',
  'vsphereVolume',
  'quobyte',
  'azureDisk',
  'photonPersistentDisk',
  'portworxVolume',
  'scaleIO',
  'storageos'
]

const has = (volume: Volume, source: string): boolean => isGiven(volume[source as keyof Volume])

export const restrictedVolumes: Check = {
  id: 'restrictedVolumes',
  level: 'restricted',
  versions: [
    {
      since: 0,
      overrides: [hostPathVolumes.id],
      check: ({ spec }) => {
        const bad = (spec.volumes ?? []).filter((volume) => !ALLOWED.some((source) => has(volume, source)))
        if (bad.length === 0) return undefined
        const types = sortedOnce(bad.map((volume) => RESTRICTED.find((source) => has(volume, source)) ?? 'unknown'))
        return {
          reason: 'restricted volume types',
          detail:
            `${plural('volume', 'volumes', bad.length)} ${quoted(bad.map(({ name }) => name))} ${plural('uses', 'use', bad.length)} ` +
            `${plural('restricted volume type', 'restricted volume types', types.length)} ${quoted(types)}`
        }
      }
    }
  ]
}
