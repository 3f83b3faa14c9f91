/**
 * The decider's shell: takes intents from both doors, decides on the newest state, appends, and answers when this
 * process has folded the write (read your writes).
 *
 * Who writes an object has its turn at it (see Turns); writes to different objects are decided at once and stored together
 * (see Committer). Another API server's write shows as a conflict of the expectation: fold up to it, decide again. What a
 * decision needs from outside is asked for without holding anybody up, and then it is made anew.
 */
import { bodyOf, stamp, type NewEvent } from '#events/Event.ts'
import type { Intent, IntentResult, UserInfo } from '#events/Intent.ts'
import { keyId, type ObjectKey } from '#events/Key.ts'
import { conflict, Refusal, timedOut, tooManyRequests } from '#events/Refusal.ts'
import { sleep, type Clock } from '#services/platform/Clock.ts'
import { sha256 } from '#services/platform/ledger/Seal.ts'
import type { Views } from '#services/platform/Views.ts'
import { Answers, answerKey } from './Answers.ts'
import { Committer } from './Committer.ts'
import { decide } from './decide.ts'
import type { AdmissionPlugin, DecideContext, Decided, Needs, Settings } from './decision.ts'
import { Draws } from './Draws.ts'
import { fence } from './fence.ts'
import { happened } from './happened.ts'
import { refusalOfLog } from './logFaults.ts'
import { madeUpNames, type MadeUp } from './MadeUpNames.ts'
import { Inquiry, outside, type Outside } from './Outside.ts'
import { refusalFor, type Shortage } from './room/decide.ts'
import { Turns } from './Turns.ts'

/** A result, and what the audit trail notes beside it; that is not for who asked. */
export type Decision = IntentResult & { readonly audit?: Readonly<Record<string, string>> }

export interface Decider {
  /**
   * Resolves with the decision, refusals included; rejects only when the outcome is unknown. `once`: the intent's id was made
   * for this call, so nobody can ask for its answer again.
   */
  submit(intent: Intent, user: UserInfo, once?: boolean): Promise<Decision>
}

export interface DeciderOptions {
  readonly views: Views
  readonly clock: Clock
  readonly settings: Settings
  /** What the log's disk is short of; undefined when it has room. */
  readonly shortage?: () => Shortage | undefined
  /** Whether what arrives now may have been asked long ago, and of others since; absent: it never may. */
  readonly late?: () => boolean
  /** Who answers what decisions need from outside; absent: nobody. */
  readonly outside?: Outside
  /** The admission plugins, in order; absent: those every cluster has. */
  readonly plugins?: readonly AdmissionPlugin[]
}

/** Times a decision is made again because somebody else wrote first. */
const TRIES = 40
/** Of them, those without a pause; and the longest pause. */
const TRIES_AT_ONCE = 4
const LONGEST_PAUSE_MS = 20
/** Times a decision is made again because somebody else holds what it is about. */
const MOVES = 16
/** Intents waiting or in flight; more are told to come back. */
const LIMIT = 20_000
/** Who waits this long for an answer may have asked another API server by now. */
const ASKED_AGAIN_MS = 1_000

/** When an intent came, and how far the view was. */
interface Arrived {
  /** It may have been asked of others before. */
  readonly late: boolean
  readonly at: number
  readonly sequence: number
}

/** Objects that are decided about as well, and that somebody else holds. */
interface Elsewhere {
  readonly elsewhere: readonly string[]
}

/** One intent under one name: what stays the same over its rounds and tries. */
interface Turn {
  /** Held while it is decided and stored. */
  keys: readonly string[]
  /** How often what was decided took waiting for others. */
  moves: number
  readonly made: MadeUp | undefined
  readonly draws: Draws
  tries: number
  /** Asked something outside: then the time stays as well. */
  inquiry?: Inquiry
  now?: number
}

const digest = (text: string): string => Buffer.from(sha256(Buffer.from(text))).toString('base64url')

const noted = (audit: Readonly<Record<string, string>> = {}): Pick<Decision, 'audit'> => (Object.keys(audit).length === 0 ? {} : { audit })

export class ApiDecider implements Decider {
  readonly #options: DeciderOptions
  readonly #committers: ReadonlyMap<string, Committer>
  readonly #turns = new Turns()
  readonly #outside: Outside
  /** Being decided, by user and intent. */
  readonly #asked = new Map<string, Promise<Decision>>()
  readonly #answers: Answers
  #waiting = 0

  constructor(options: DeciderOptions) {
    this.#options = options
    this.#answers = new Answers(options.views)
    this.#outside = options.outside ?? outside()
    this.#committers = new Map(
      [...options.views.byStream.values()].map((view) => [
        view.stream,
        new Committer(view.log, options.clock, { integrity: view.integrity, vault: view.vault, begins: () => view.begins })
      ])
    )
  }
  submit(intent: Intent, user: UserInfo, once = false): Promise<Decision> {
    if (once) return this.#submit(intent, user)
    const key = answerKey(intent, user)
    const asked = this.#asked.get(key)
    if (asked !== undefined) return asked
    const result = this.#remembered(intent, user)
    this.#asked.set(key, result)
    // An unknown outcome is not an answer to remember: the next delivery finds the truth in the log.
    const done = (): boolean => this.#asked.delete(key)
    result.then(done, done)
    return result
  }
  async #remembered(intent: Intent, user: UserInfo): Promise<Decision> {
    try {
      const known = this.#answers.find(intent, user)
      const before = known === undefined ? undefined : await known
      if (before !== undefined) return before
    } catch (error) {
      return this.#refused(error)
    }
    const result = await this.#submit(intent, user)
    this.#answers.remember(intent, user, result)
    return result
  }
  async #submit(intent: Intent, user: UserInfo): Promise<Decision> {
    if (this.#waiting >= LIMIT) return { ok: false, status: tooManyRequests('the server has too many writes waiting; try again', 1).status }
    this.#waiting += 1
    try {
      return await this.#named(intent, user)
    } catch (error) {
      return this.#refused(error)
    } finally {
      this.#waiting -= 1
    }
  }
  /** What was thrown as an answer; throws it again when it is none. */
  #refused(error: unknown): Decision {
    const refusal = error instanceof Refusal ? error : refusalOfLog(error)
    if (refusal === undefined) throw error
    return { ok: false, status: refusal.status, ...noted(refusal.audit) }
  }
  async #named(intent: Intent, user: UserInfo): Promise<Decision> {
    const arrived = {
      late: this.#options.late?.() === true,
      at: this.#options.clock.now(),
      sequence: this.#options.views.api.kindOf(intent.ref) === undefined ? 0 : this.#options.views.of(intent.ref).objects.sequence
    }
    const names = madeUpNames(this.#options.views.api, intent, user)
    if (names !== undefined) return this.#underMadeUpName(intent, user, arrived, names)
    return this.#attempt(intent, user, arrived)
  }
  /** The first name that nobody has; asked again, perhaps one of the others was free then. */
  async #underMadeUpName(intent: Intent, user: UserInfo, arrived: Arrived, names: readonly MadeUp[]): Promise<Decision> {
    for (const { name } of intent.again === true ? names : []) {
      const before = await happened(this.#options.views, intent, user, 0, name)
      if (before !== undefined) return before
    }
    let taken: unknown
    for (const made of names) {
      try {
        return await this.#attempt(intent, user, arrived, made)
      } catch (error) {
        if (!(error instanceof Refusal) || error.status.reason !== 'AlreadyExists') throw error
        taken = error
        const before = await happened(this.#options.views, intent, user, 0, made.name)
        if (before !== undefined) return before
      }
    }
    throw taken
  }
  /** Decides and stores, in turn with the other writes of the object: the next is decided on what this one leaves. */
  async #attempt(intent: Intent, user: UserInfo, arrived: Arrived, made?: MadeUp): Promise<Decision> {
    const name = made?.name ?? intent.name
    const own = name === '' ? [] : [keyId({ ...this.#options.views.api.collectionOf(intent.ref), namespace: intent.namespace, name })]
    const turn: Turn = { keys: own, made, draws: new Draws(this.#options.clock), tries: 0, moves: 0 }
    for (;;) {
      await this.#turns.take(turn.keys)
      let wanted: Decision | Needs | Elsewhere
      try {
        wanted = await this.#inTurn(intent, user, arrived, turn)
      } finally {
        this.#turns.release(turn.keys)
      }
      if ('elsewhere' in wanted) {
        turn.keys = [...turn.keys, ...wanted.elsewhere]
        turn.moves += 1
        turn.tries -= 1
        continue
      }
      if (!('needs' in wanted)) return wanted
      turn.keys = own
      turn.tries -= 1
      // Others go on meanwhile: the object may have changed until the answers are there, and then more may have to be asked.
      turn.inquiry ??= new Inquiry(this.#outside, this.#options.clock)
      turn.now ??= this.#options.clock.now()
      if (!(await turn.inquiry.ask(wanted.needs)))
        throw timedOut('what this request needs from outside changes with every answer; try again')
    }
  }
  async #inTurn(intent: Intent, user: UserInfo, arrived: Arrived, turn: Turn): Promise<Decision | Needs | Elsewhere> {
    const { views, clock } = this.#options
    const name = turn.made?.name ?? intent.name
    for (;;) {
      turn.tries += 1
      // A conflict may be this very intent, taken by another API server, also while this one waited for its turn; so may be the object's
      // newest event.
      const old = intent.again === true || arrived.late
      const suspected = old || turn.tries > 1 || clock.now() - arrived.at > ASKED_AGAIN_MS || this.#isLast(intent, name)
      const before = suspected ? await happened(this.#options.views, intent, user, old ? 0 : arrived.sequence, name) : undefined
      if (before !== undefined) return before
      const fences = intent.term === undefined ? [] : await fence(views, intent)
      const decided = this.#decide(intent, user, turn)
      if ('needs' in decided) return decided
      if (decided.events.length === 0) return this.#unchanged(intent, decided)
      this.#refuseForRoom(intent, user, decided)
      const more = this.#alsoTake(turn, decided)
      if (more !== undefined) return more
      const guarded = fences.length === 0 ? decided : { ...decided, guards: [...(decided.guards ?? []), ...fences] }
      const stored = await this.#store(intent, guarded, arrived)
      if (stored !== undefined) return stored
      if (turn.tries >= TRIES) throw conflict(intent.ref, intent.name)
      // Several servers at one object: who has lost some times steps aside for a moment, so that not all try at once.
      if (turn.tries > TRIES_AT_ONCE) await sleep(clock, clock.random() * LONGEST_PAUSE_MS)
    }
  }
  /** What is decided about besides the object itself is held as well; where somebody else has it, both are waited for, in order. */
  #alsoTake(turn: Turn, { events }: Decided): Elsewhere | undefined {
    if (events.length === 1) return undefined
    const more = events.map(({ key }) => keyId(key)).filter((key) => !turn.keys.includes(key))
    if (this.#turns.tryTake(more)) turn.keys = [...turn.keys, ...more]
    // Who is sent elsewhere time and again goes on without: the log's expectations hold all the same.
    else if (turn.moves < MOVES) return { elsewhere: more }
    return undefined
  }
  /** The answer when it is stored and folded; undefined when somebody else wrote first, and what they wrote is folded. */
  async #store(intent: Intent, decided: Decided, arrived: Arrived): Promise<Decision | undefined> {
    const view = this.#options.views.of(intent.ref)
    const folded = view.objects.sequence
    const outcome = await (this.#committers.get(view.stream) as Committer).commit(decided.events, arrived.at, decided.guards, folded)
    if (outcome.ok) {
      view.checkBehind(folded, outcome.last)
      const last = decided.events.at(-1) as NewEvent
      // What is stored is not what is answered when the kind is written in another version.
      const isStored = last.object === decided.object
      const text = stamp((isStored ? outcome.bodies.at(-1) : undefined) ?? bodyOf(decided.object), outcome.last)
      const object = { ...decided.object, metadata: { ...decided.object.metadata, resourceVersion: String(outcome.last) } }
      if (!last.deleted && isStored) view.offer(outcome.last, object, text.length)
      await view.waitFor(outcome.last)
      return { ...this.#answer(decided, object, text), sequence: outcome.last }
    }
    // Its subject may be empty since its history was compacted.
    if (view.floor > 0) await view.look()
    // What this was decided on has left the stream by itself: nobody wrote, and nothing will come.
    if (
      outcome.lastSequence !== undefined &&
      decided.events.length === 1 &&
      (decided.events[0] as NewEvent).expected > outcome.lastSequence
    )
      await view.expire(decided.events.map(({ key }) => key))
    // Somebody else wrote the object: what they wrote will be here in a moment.
    if (outcome.lastSequence !== undefined) await view.waitFor(outcome.lastSequence)
    else await view.waitFor(await view.log.lastSequence())
    for (const { key, expected } of [...decided.events, ...(decided.guards ?? [])])
      if (view.objects.head(key) === expected) await view.learn(key)
    return undefined
  }
  /**
   * Stores what goes with an object without changing it, in turn with its writes. `make` decides once; false when there is
   * nothing to store, or somebody else wrote first.
   */
  async mend(owner: ObjectKey, user: UserInfo, make: (context: DecideContext) => Pick<Decided, 'events' | 'guards'>): Promise<boolean> {
    const { views, clock } = this.#options
    const turn: Turn = { keys: [keyId(owner)], made: undefined, draws: new Draws(clock), tries: 0, moves: 0 }
    await this.#turns.take(turn.keys)
    try {
      const { events, guards } = make(this.#context(user, turn))
      const others = events.map(({ key }) => keyId(key))
      if (events.length === 0 || !this.#turns.tryTake(others)) return false
      turn.keys = [...turn.keys, ...others]
      const view = views.of(owner)
      const outcome = await (this.#committers.get(view.stream) as Committer).commit(events, clock.now(), guards)
      if (outcome.ok) await view.waitFor(outcome.last)
      return outcome.ok
    } finally {
      this.#turns.release(turn.keys)
    }
  }
  #refuseForRoom(intent: Intent, user: UserInfo, { events }: Decided): void {
    const shortage = this.#options.shortage?.()
    if (shortage === undefined) return
    const { key, object } = events.at(-1) as NewEvent
    const stored = this.#options.views.get(key)
    const refusal = refusalFor(shortage, intent, user, {
      before: stored?.text.length ?? 0,
      after: bodyOf(object).length,
      going: (stored?.object.metadata.finalizers?.length ?? 0) > (object.metadata.finalizers?.length ?? 0)
    })
    if (refusal !== undefined) throw refusal
  }
  #isLast(intent: Intent, name: string): boolean {
    if (name === '') return false
    return (
      this.#options.views
        .of(intent.ref)
        .objects.get({ ...this.#options.views.api.collectionOf(intent.ref), namespace: intent.namespace, name })?.facts.id === intent.id
    )
  }
  #decide(intent: Intent, user: UserInfo, turn: Turn): Decided | Needs {
    return decide(intent, this.#context(user, turn))
  }
  #context(user: UserInfo, { keys, made, draws, inquiry, now }: Turn): DecideContext {
    const { views, clock, settings, plugins } = this.#options
    draws.rewind()
    return {
      api: views.api,
      view: views,
      head: (key: ObjectKey) => views.of(key).objects.head(key),
      user,
      now: now ?? clock.now(),
      random: () => draws.random(),
      ...(made === undefined ? {} : { letters: made.letters() }),
      uuid: () => draws.uuid(),
      busy: (key) => this.#isBusy(keyId(key), keys),
      settings,
      digest,
      ...(plugins === undefined ? {} : { plugins }),
      ...(inquiry === undefined ? {} : { answers: inquiry.answers })
    }
  }
  #isBusy(id: string, mine: readonly string[]): boolean {
    return this.#turns.isHeld(id) && !mine.includes(id)
  }
  #unchanged(intent: Intent, decided: Decided): Decision {
    const sequence = decided.entry?.sequence ?? 0
    if (decided.entry !== undefined)
      return { ...this.#answer(decided, decided.entry.object, decided.entry.text), sequence, unchanged: true }
    return {
      ...this.#answer(decided, decided.object, undefined),
      sequence: this.#options.views.api.kindOf(intent.ref) === undefined ? 0 : this.#options.views.of(intent.ref).objects.sequence
    }
  }
  #answer(decided: Decided, object: Decided['object'], text: string | undefined): Omit<Extract<Decision, { ok: true }>, 'sequence'> {
    const warnings = { ...(decided.warnings.length === 0 ? {} : { warnings: decided.warnings }), ...noted(decided.audit) }
    if (decided.status !== undefined)
      return { ok: true, code: decided.code, object: decided.status as unknown as Decided['object'], ...warnings }
    if (decided.present !== undefined) return { ok: true, code: decided.code, object: decided.present(object), ...warnings }
    return { ok: true, code: decided.code, object, ...(text === undefined ? {} : { text }), ...warnings }
  }
}
