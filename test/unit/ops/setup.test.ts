/** The plain parts of setup: versions, mirrors, what Docker left in iptables, and counting tests. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { atLeast } from '#ops/nats/binary.ts'
import { mirrorAmong, parseRepositories } from '#ops/setup/apt.ts'
import { undoRules } from '#ops/setup/dockerNetwork.ts'
import { countUvu } from '#test/runFile.ts'

const setup = suite('setup')

setup('versions are compared by number', () => {
  assert.ok(atLeast('2.12.0', '2.12.0'))
  assert.ok(atLeast('2.15.1', '2.12.0'))
  assert.ok(atLeast('3.0.0', '2.12.5'))
  assert.not.ok(atLeast('2.9.10', '2.12.0'))
})

setup("the mirror of the machine's own release is taken, never the security archive", () => {
  const targets =
    'http://security.example/debian-security/ bookworm main\n' +
    'http://mirror.example/debian/ bookworm-updates main\n' +
    'http://mirror.example/debian/ bookworm main\n'
  assert.is(mirrorAmong(parseRepositories(targets), 'bookworm'), 'http://mirror.example/debian')
  assert.is(mirrorAmong(parseRepositories(''), 'bookworm'), undefined)
})

const BEFORE = `*filter
:INPUT ACCEPT [5:100]
:FORWARD ACCEPT [0:0]
:MINE - [0:0]
-A FORWARD -j MINE
COMMIT
`
const AFTER = `*filter
:INPUT ACCEPT [9:900]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:MINE - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -j MINE
-A FORWARD -s 10.9.0.0/16 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
COMMIT
`

setup('only what Docker added is undone', () => {
  assert.is(
    undoRules(BEFORE, AFTER),
    `*filter
:FORWARD ACCEPT [0:0]
-D FORWARD -j DOCKER-USER
-D FORWARD -o docker0 -j DOCKER
-F DOCKER
-F DOCKER-USER
-X DOCKER
-X DOCKER-USER
COMMIT
*nat
-D POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-F DOCKER
-X DOCKER
COMMIT
`
  )
})

setup('nothing new, nothing undone', () => {
  assert.is(undoRules(AFTER, AFTER), '')
})

const summary = (total: number, passed: number): string => `\n  Total:     ${total}\n  Passed:    ${passed}\n  Skipped:   1\n`

setup("tests are counted from uvu's summary", () => {
  assert.equal(countUvu(summary(5, 5), false), { passed: 5, failed: 0, skipped: 1 })
  assert.equal(countUvu(summary(5, 3), true), { passed: 3, failed: 2, skipped: 1 })
})

setup('a crash behind the summary, or no test at all, is a failure', () => {
  assert.equal(countUvu(summary(5, 5), true), { passed: 5, failed: 1, skipped: 1 })
  assert.equal(countUvu('', false), { passed: 0, failed: 1, skipped: 0 })
})

setup.run()
