// What a thread spent, from what its rollout file says about tokens. Owns the arithmetic: cumulative totals
// that repeat, restart or begin with another thread's history must not be counted twice.
import { countAt, objectAt } from '../interpret/json.js';

/** Tokens as the API counts them: `cached_input_tokens` are part of the input, reasoning of the output. */
export interface TokenUsage {
  input_tokens: number;
  cached_input_tokens: number;
  output_tokens: number;
  reasoning_output_tokens: number;
  total_tokens: number;
}

const FIELDS = [
  'input_tokens',
  'cached_input_tokens',
  'output_tokens',
  'reasoning_output_tokens',
  'total_tokens',
] as const;

export function noUsage(): TokenUsage {
  return {
    input_tokens: 0,
    cached_input_tokens: 0,
    output_tokens: 0,
    reasoning_output_tokens: 0,
    total_tokens: 0,
  };
}

/** The usage object under `key`; fields that are absent count 0. */
export function usageAt(value: unknown, key: string): TokenUsage | undefined {
  const found = objectAt(value, key);
  if (found === undefined) return undefined;
  return combine((field) => countAt(found, field) ?? 0);
}

/**
 * Adds up a thread's usage from its token lines in file order.
 *
 * Two kinds of line tell of the same tokens: `token_count` carries the running total of the thread (and
 * of the history that it began with), `token_usage_record`, written since about 0.169, the usage of one
 * response. Records are counted as they are; a total adds only what no record before it has told.
 */
export class UsageMeter {
  readonly #used = noUsage();
  readonly #inherits: boolean;
  #total: TokenUsage | undefined;
  #recordedSinceTotal = noUsage();

  /** @param inherits the thread began with the history, and the running total, of another one */
  constructor(inherits: boolean) {
    this.#inherits = inherits;
  }

  get used(): TokenUsage {
    return { ...this.#used };
  }

  /** The usage of one response of this thread. */
  record(usage: TokenUsage): void {
    addUsage(this.#used, usage);
    addUsage(this.#recordedSinceTotal, usage);
  }

  /** A running total that is part of the inherited history. */
  inherit(total: TokenUsage): void {
    this.#total = total;
  }

  /**
   * A running total of this thread, with the usage of the response that moved it last.
   *
   * @returns what it adds to the usage
   */
  count(total: TokenUsage, last: TokenUsage | undefined): TokenUsage {
    const before = this.#total ?? this.#baseline(total, last);
    const restarted = FIELDS.some((field) => total[field] < before[field]);
    const delta = restarted ? (last ?? total) : combine((field) => total[field] - before[field]);
    const recorded = this.#recordedSinceTotal;
    const added = combine((field) => Math.max(delta[field] - recorded[field], 0));
    addUsage(this.#used, added);
    this.#total = total;
    this.#recordedSinceTotal = noUsage();
    return added;
  }

  /** What the first total already held when the thread began. */
  #baseline(total: TokenUsage, last: TokenUsage | undefined): TokenUsage {
    if (!this.#inherits || last === undefined) return noUsage();
    return combine((field) => Math.max(total[field] - last[field], 0));
  }
}

function combine(value: (field: (typeof FIELDS)[number]) => number): TokenUsage {
  const usage = noUsage();
  for (const field of FIELDS) usage[field] = value(field);
  return usage;
}

export function addUsage(to: TokenUsage, usage: TokenUsage): void {
  for (const field of FIELDS) to[field] += usage[field];
}
