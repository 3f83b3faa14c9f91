/** Notices of controllers, as asks. Plain functions. */
import { timestamp } from '#events/meta/time.ts'
import { noticeDraft } from '#events/core/notice.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import type { Ask } from '#services/platform/decision.ts'

export const record = (
  view: ObjectsView,
  about: KubeObject,
  component: string,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
  now: number
): Ask => noticeDraft(view, { about, type, reason, message, component, time: timestamp(now) })
