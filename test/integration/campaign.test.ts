/** A short campaign of every kind of fault, and the campaign's own judgement: what it must notice, it notices. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { campaign } from '#test/campaign/campaign.ts'
import { Load, type Acknowledged } from '#test/campaign/load.ts'
import { KINDS, nameOf, planOf } from '#test/campaign/plan.ts'
import { Reflector } from '#test/campaign/reflector.ts'
import { verdictOf } from '#test/campaign/verdict.ts'
import { startPlane } from '#test/support/plane.ts'
import { inOwnMounts } from '#test/support/smallDisk.ts'

process.env['RECKON_SUPERVISOR'] = 'parent'

if (inOwnMounts(import.meta.filename)) {
  const campaigns = suite('a campaign')

  campaigns('the same seed is the same campaign', () => {
    const names = (seed: number): string[] => planOf({ seed, rounds: 40, longest: 60 }).map(nameOf)
    assert.equal(names(7), names(7))
    assert.not.equal(names(7), names(8))
    assert.equal(new Set(planOf({ seed: 7, rounds: 8, longest: 60 }).map(({ kind }) => kind)), new Set(KINDS))
    assert.ok(
      planOf({ seed: 1, rounds: 200, longest: 5, only: 'freeze' }).every(
        (round) => round.kind === 'freeze' && round.seconds >= 1 && round.seconds <= 5
      )
    )
  })

  campaigns(
    'one round of each and one more: nothing acknowledged is lost, changed or doubled, and watchers see each change once',
    async () => {
      const said: string[] = []
      const { results, verdict, faults } = await campaign({
        seed: 5,
        rounds: 5,
        longest: 2,
        containers: false,
        say: (line) => said.push(line)
      })
      assert.equal(faults, [], said.join('\n'))
      assert.is(results.length, 5)
      assert.ok((verdict?.acknowledged ?? 0) > 500, `only ${verdict?.acknowledged} writes were acknowledged: that is no load`)
    }
  )

  campaigns('what is not so is told', async () => {
    const plane = await startPlane()
    try {
      await plane.start()
      await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
      const reflector = new Reflector(plane, 'watcher')
      await reflector.start()
      const load = new Load(plane, 'lie', { writers: 2 })
      load.start()
      assert.ok(await load.more(40, 20_000))
      await load.stop()
      const { status, body } = await plane.call('POST', '/api/v1/namespaces/default/configmaps', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'end' }
      })
      assert.is(status, 201)
      assert.ok(
        await reflector.stop(Number((JSON.parse(body) as { metadata: { resourceVersion: string } }).metadata.resourceVersion), 10_000)
      )
      const faults = async (change: () => void): Promise<string> => {
        const [before, seen, refused] = [[...load.acknowledged], [...reflector.seen], [...load.refused]]
        change()
        const told = (await verdictOf(plane, [load], [reflector])).faults.join('\n')
        load.acknowledged.splice(0, load.acknowledged.length, ...before)
        reflector.seen.splice(0, reflector.seen.length, ...seen)
        load.refused.splice(0, load.refused.length, ...refused)
        return told
      }
      const created = load.acknowledged.find(({ verb }) => verb === 'create') as Acknowledged
      assert.is(await faults(() => {}), '')
      assert.match(
        await faults(() => load.acknowledged.push({ ...created, version: 999_999 })),
        'was acknowledged as 999999, which is not in the log'
      )
      assert.match(
        await faults(() => load.acknowledged.push({ ...created, value: 'other' })),
        /other was acknowledged as \d+, where the log has/
      )
      assert.match(await faults(() => load.acknowledged.push(created)), /resourceVersion \d+ was handed out for/)
      assert.match(
        await faults(() => load.acknowledged.push({ ...created, verb: 'delete', name: 'never' })),
        'the deletion of never was acknowledged and is not in the log'
      )
      assert.match(await faults(() => load.refused.push(created.value)), 'was refused and is in the log')
      assert.match(await faults(() => reflector.seen.splice(5, 1)), /watcher: change 5 should be/)
      assert.match(
        await faults(() => reflector.seen.splice(5, 0, reflector.seen[4] as Reflector['seen'][number])),
        /watcher: change 5 should be/
      )
      assert.match(await faults(() => reflector.faults.push('told that 3 is too old')), 'told that 3 is too old')
    } finally {
      await plane.remove()
    }
  })

  campaigns.run()
}
