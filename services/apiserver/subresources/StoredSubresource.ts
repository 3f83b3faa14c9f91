/** What a subresource is to the decider: another way to change an object, with its own way to decide. Types only. */
import type { Intent } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import type { DecideContext, Decided } from '#services/apiserver/decision.ts'

export interface StoredSubresource {
  /** The intent as it is meant, where some of it is in the body: an eviction's dry run. Throws `Refusal`. */
  asked?(intent: Intent): Intent
  /** `intent`: what `asked` returned. */
  decide(kind: Kind, intent: Intent, context: DecideContext): Decided
}
