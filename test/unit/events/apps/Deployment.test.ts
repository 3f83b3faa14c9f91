/** What an event says that happened to a Deployment: `kubectl set image` is told from `kubectl set env`. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DEPLOYMENTS } from '#events/collections.ts'
import { Deployment } from '#events/apps/Deployment.ts'
import { asOneOf } from '#events/KubeObject.ts'
import { eventTypeOf } from '#events/meta/eventType.ts'

const of = (containers: readonly object[], more: object = {}): Deployment =>
  asOneOf(DEPLOYMENTS, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: { replicas: 1, template: { spec: { containers } }, ...more }
  })
const MAIN = { name: 'main', image: 'web:1' }
const SIDE = { name: 'side', image: 'side:1' }
const fact = (after: Deployment, subresource = ''): string =>
  eventTypeOf(Deployment, { before: of([MAIN, SIDE]), after, deleted: false, subresource })

const facts = suite('what happened to a deployment')

facts('an image that is another', () => {
  assert.is(fact(of([{ ...MAIN, image: 'web:2' }, SIDE])), 'reckon.deployment.image-changed.v1')
})
facts('a template that has changed otherwise', () => {
  assert.is(fact(of([{ ...MAIN, env: [{ name: 'A', value: 'b' }] }, SIDE])), 'reckon.deployment.template-changed.v1')
  assert.is(fact(of([SIDE, MAIN])), 'reckon.deployment.template-changed.v1')
})
facts('a size, and what is no change of the template', () => {
  assert.is(fact(of([MAIN, SIDE], { replicas: 2 })), 'reckon.deployment.scaled.v1')
  assert.is(fact(of([MAIN, SIDE], { paused: true })), 'reckon.deployment.paused.v1')
  assert.is(fact(of([MAIN, SIDE]), 'status'), 'reckon.deployment.progressed.v1')
})

facts.run()
