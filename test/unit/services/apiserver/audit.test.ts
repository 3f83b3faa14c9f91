/** Records of what was refused: bounded, shed when there is no room, and counted all the same. */
import type { NatsConnection } from '@nats-io/transport-node'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent } from '#events/Intent.ts'
import { forbidden } from '#events/Refusal.ts'
import { Audit } from '#services/apiserver/Audit.ts'
import { systemClock } from '#services/platform/Clock.ts'

const REF = { group: '', resource: 'pods' }
const intent: Intent = { id: 'x', verb: 'create', ref: REF, version: 'v1', namespace: 'default', name: 'a', source: 'test' }
const audit = suite('audit')

audit('what is shed is counted, and told with the next record', async () => {
  const sent: { droppedBefore?: number }[] = []
  const connection = { request: async (_: string, text: string) => void sent.push(JSON.parse(text) as { droppedBefore?: number }) } as unknown as NatsConnection
  let short = false
  const mine = new Audit(connection, systemClock, () => short)
  const refuse = (): void => mine.refused(intent, { username: 'me', groups: [] }, forbidden(REF, 'a', 'no').status)
  refuse()
  short = true
  for (let n = 0; n < 3; n++) refuse()
  short = false
  refuse()
  refuse()
  assert.equal(sent.map(({ droppedBefore }) => droppedBefore), [undefined, 3, undefined])
})
audit.run()
