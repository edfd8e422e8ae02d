// The turns of one thread, as its rollout file tells of them. Owns their list and what each spent.
import { addUsage, noUsage, type TokenUsage } from './token-usage.js';

export type TurnStatus = 'completed' | 'aborted' | 'open';

export interface Turn {
  /** Null in files of versions that did not name turns. */
  turn_id: string | null;
  model: string | null;
  /** RFC 3339 as Codex wrote it. */
  started_at: string | null;
  ended_at: string | null;
  /** `open`: the file does not tell the end. */
  status: TurnStatus;
  usage: TokenUsage;
}

export class Turns {
  #turns: Turn[] = [];
  #byId = new Map<string, Turn>();
  /** A turn that has started and not yet ended; a review writes only the start of its child's turn. */
  #open: { id: string; time: string | undefined } | undefined;
  /** The turn that responses belong to. */
  #current: Turn | undefined;

  start(id: string | undefined, time: string | undefined): void {
    this.#open = id === undefined ? undefined : { id, time };
  }

  context(id: string | undefined, model: string | undefined, time: string | undefined): void {
    const turn = id === undefined ? this.#add(null, time) : this.#turn(id, time);
    turn.model = model ?? turn.model;
    this.#current = turn;
  }

  /**
   * The end of a turn: `id` is undefined where versions do not tell it.
   *
   * @param mayBeCopied leave a turn out that did not begin here
   */
  end(id: string | undefined, status: TurnStatus, time: string | undefined, mayBeCopied: boolean): void {
    if (mayBeCopied && id !== undefined && id !== this.#open?.id && !this.#byId.has(id)) return;
    const turn = id === undefined ? this.#current : this.#turn(id, undefined);
    this.#open = undefined;
    if (turn === undefined) return;
    turn.status = status;
    turn.ended_at = time ?? null;
  }

  /**
   * Adds to a turn, the current one unless `id` names another.
   *
   * @returns the model of that turn
   */
  spend(usage: TokenUsage, id?: string): string | null {
    const turn = (id === undefined ? undefined : this.#byId.get(id)) ?? this.#current;
    if (turn !== undefined) addUsage(turn.usage, usage);
    return turn?.model ?? null;
  }

  /** All turns so far were another thread's. */
  forget(): void {
    this.#turns = [];
    this.#byId.clear();
    this.#open = undefined;
    this.#current = undefined;
  }

  /** The list when the file has been read. */
  finish(): Turn[] {
    if (this.#open !== undefined) this.#turn(this.#open.id, undefined);
    return this.#turns;
  }

  #turn(id: string, time: string | undefined): Turn {
    const started = this.#open?.id === id ? this.#open.time : time;
    return this.#byId.get(id) ?? this.#add(id, started);
  }

  #add(id: string | null, time: string | undefined): Turn {
    const turn: Turn = {
      turn_id: id,
      model: null,
      started_at: time ?? null,
      ended_at: null,
      status: 'open',
      usage: noUsage(),
    };
    this.#turns.push(turn);
    if (id !== null) this.#byId.set(id, turn);
    return turn;
  }
}
