/** An amount of something, and how much of it each user holds. */

/** How much there is. */
export interface Share {
  readonly total: number
  /** What one user may have of it. */
  readonly perUser: number
}

export class Pool {
  #taken = 0
  readonly #byUser = new Map<string, number>()

  get taken(): number {
    return this.#taken
  }
  /**
   * Undefined when there is room; otherwise who has too much. Nobody takes more than is left free for the others: a few who take
   * their whole share would keep everybody else out. Who may have all there is shares with nobody.
   */
  full({ total, perUser }: Share, user: string, amount: number): 'user' | 'all' | undefined {
    const mine = (this.#byUser.get(user) ?? 0) + amount
    if (mine > perUser) return 'user'
    const free = total - this.#taken
    return amount > free || (perUser < total && mine > free) ? 'all' : undefined
  }
  take(user: string, amount: number): void {
    this.#taken += amount
    this.#byUser.set(user, (this.#byUser.get(user) ?? 0) + amount)
  }
  give(user: string, amount: number): void {
    this.#taken -= amount
    const left = (this.#byUser.get(user) ?? 0) - amount
    if (left > 0) this.#byUser.set(user, left)
    else this.#byUser.delete(user)
  }
}
