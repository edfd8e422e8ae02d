// Where the history that a thread copied from another one ends. Owns that question only: forks and sub-agents
// may begin with the lines of the thread that they come from, token counts included, with their times
// rewritten to the moment of the copy, and counting those again is the commonest error in reading rollouts.
import { parseUuid, uuidTime } from './rollout-name.js';
import type { TokenUsage } from './token-usage.js';

/** The token counts of a file in their order, own and copied: a mark of each, and when it was written. */
export interface CountMarks {
  marks: number[];
  /** Milliseconds since the epoch; NaN where the line does not tell. */
  times: number[];
}

export interface Origin {
  /** The thread that the history comes from. */
  threadId: string;
  /** Undefined when its file is not at hand. */
  counts: CountMarks | undefined;
}

const SECOND_MS = 1000;

/**
 * Follows one file from its first line on and says of each token count whether it was copied. In this order:
 *
 * 1. Newer versions number their lines and say which one is the first of the thread itself.
 * 2. Turn ids are UUIDv7, which tell when they were made: a turn older than the thread was copied.
 * 3. Older versions numbered their turns. Then a count was copied that the origin's file has too, from before
 *    the copy and in the same order; the first other one ends the copied part.
 * 4. Without the origin's file the copied part is what was written in the second of the thread's creation.
 */
export class CopiedHistory {
  readonly #threadId: string;
  readonly #createdMs: number;
  readonly #origin: Origin | undefined;
  readonly #firstOwnOrdinal: number | undefined;
  #state: 'copied' | 'own' | 'unknown';
  #nextMark = 0;
  /** Whether a count was told apart by its time alone. */
  isGuess = false;

  /** @param origin undefined for a thread that cannot have copied anything */
  constructor(threadId: string, createdMs: number, origin: Origin | undefined, firstOwnOrdinal?: number) {
    this.#firstOwnOrdinal = firstOwnOrdinal;
    this.#threadId = threadId;
    this.#createdMs = createdMs;
    this.#origin = origin;
    this.#state = origin === undefined ? 'own' : 'unknown';
  }

  /** Whether the file is past all that was copied. */
  get isOwn(): boolean {
    return this.#state === 'own';
  }

  get isCopied(): boolean {
    return this.#state === 'copied';
  }

  /** A turn begins or goes on. */
  enterTurn(turnId: string | undefined): void {
    if (this.#state === 'own' || turnId === undefined) return;
    if (uuidTime(turnId) === undefined || uuidTime(this.#threadId) === undefined) return;
    this.#state = this.precedesThread(turnId) ? 'copied' : 'own';
  }

  precedesThread(turnId: string): boolean {
    const id = parseUuid(turnId);
    if (this.#origin === undefined || id === undefined || uuidTime(this.#threadId) === undefined)
      return false;
    return uuidTime(id) !== undefined && id < this.#threadId;
  }

  /** Whether a line other than a token count was copied, as far as the lines before it tell. */
  isCopiedRow(ordinal: number | undefined): boolean {
    return this.#byOrdinal(ordinal) ?? this.#state === 'copied';
  }

  /** Whether the token count with this mark was copied. */
  isCopiedCount(mark: number, timeMs: number, ordinal?: number): boolean {
    const byOrdinal = this.#byOrdinal(ordinal);
    if (byOrdinal !== undefined) return byOrdinal;
    if (this.#state === 'unknown' && !this.#looksCopied(mark, timeMs)) this.#state = 'own';
    return this.#state !== 'own';
  }

  #byOrdinal(ordinal: number | undefined): boolean | undefined {
    const first = this.#firstOwnOrdinal;
    return ordinal === undefined || first === undefined ? undefined : ordinal < first;
  }

  #looksCopied(mark: number, timeMs: number): boolean {
    const counts = this.#origin?.counts;
    if (counts === undefined) {
      const isCopied = Math.floor(timeMs / SECOND_MS) <= Math.floor(this.#createdMs / SECOND_MS);
      this.isGuess ||= isCopied;
      return isCopied;
    }
    // A copy may begin anywhere in the origin, or leave counts out; it never holds what came later.
    const found = counts.marks.indexOf(mark, this.#nextMark);
    if (found < 0 || (counts.times[found] ?? 0) > this.#createdMs + SECOND_MS) return false;
    this.#nextMark = found + 1;
    return true;
  }
}

/** A number that equal token counts share and others hardly ever do. */
export function countMark(total: TokenUsage, last: TokenUsage | undefined): number {
  let mark = 0;
  for (const value of [...Object.values(total), ...Object.values(last ?? {})]) {
    mark = Math.imul(mark ^ value, 0x9e3779b1);
    mark ^= mark >>> 15;
  }
  return mark;
}
