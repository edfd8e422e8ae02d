// What each tool call of a bundle caused, and where no call is known, what each agent did. Holds all of it in memory, as a
// person wants to read it.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AgsightError } from '../errors.js';
import type { RecordedSource } from '../evidence/event.js';
import { EffectCollector, type Effects, noEffects, textOrNull } from './effects.js';
import { eventRows } from './event-rows.js';
import { type KnownCall, loadRuns, type Run, ToolCalls } from './tool-calls.js';

export interface ToolCallEffects extends Effects {
  tool_call_id: string;
  codex_thread_id: string | null;
  tool: string | null;
  request: string | null;
  status: string | null;
  /** Microseconds since the Unix epoch; null where the bundle does not tell. */
  started_at: number | null;
  ended_at: number | null;
}

/** What an agent, or whatever was captured, did by itself and by what it started. */
export interface RootEffects extends Effects {
  root_pid: number;
}

export interface BundleEffects {
  runs: Run[];
  calls: ToolCallEffects[];
  /** What belongs to no call; empty unless it was wanted. */
  roots: RootEffects[];
  /** What the capture recorded; empty where that is not known. */
  recorded: readonly RecordedSource[];
  /** Nothing was lost, nothing is damaged. */
  isSound: boolean;
}

/**
 * What the tool calls of a bundle caused; of a bundle of Codex itself, which has no evidence, only the calls.
 *
 * @param options.roots whether what belongs to no call is wanted too
 * @throws AgsightError `no-evidence` when there is no run either.
 */
export async function toolCallEffects(bundle: string, { roots = false } = {}): Promise<BundleEffects> {
  const runs = await loadRuns(bundle);
  const calls = new ToolCalls(runs);
  const owners = new Owners(calls, roots);
  const collector = new EffectCollector();
  let isSound = true;
  let recorded: readonly RecordedSource[] = [];
  const onIncomplete = (): void => {
    isSound = false;
  };
  const rows = eventRows(bundle, {
    calls,
    onIncomplete,
    onStart(event) {
      recorded = event.recorded;
    },
    onSocket: (event) => collector.settleConnection(event),
    onConnect: (event, cause) => {
      const effects = owners.of(cause.threadId, cause.callId, event.rootPid);
      if (effects !== undefined) collector.addConnection(event, cause, effects);
    },
    onRequest: (event, request, cause) => {
      const effects = owners.of(cause.threadId, cause.callId, event.rootPid);
      if (effects !== undefined) collector.addRequest(event, request, cause, effects);
    },
  });
  try {
    for await (const found of rows) {
      const { codex_thread_id: threadId, tool_call_id: id, root_pid: rootPid } = found.row;
      collector.add(found, owners.of(textOrNull(threadId), textOrNull(id), Number(rootPid)));
    }
  } catch (error) {
    if (runs.length === 0 || !(error instanceof AgsightError) || error.code !== 'no-evidence') throw error;
    // What agsight captured had evidence once.
    isSound = !existsSync(join(bundle, 'capture.json'));
  }
  return { runs, calls: owners.calls, roots: owners.roots, recorded, isSound };
}

/** Whose effects a row tells of. */
class Owners {
  readonly #known: ToolCalls;
  readonly #calls = new Map<string, ToolCallEffects>();
  /** Undefined when what belongs to no call is left out. */
  readonly #roots: Map<number, RootEffects> | undefined;

  constructor(known: ToolCalls, hasRoots: boolean) {
    this.#known = known;
    this.#roots = hasRoots ? new Map() : undefined;
    for (const call of known.all) this.#calls.set(`${call.threadId} ${call.id}`, emptyEffects(call));
  }

  get calls(): ToolCallEffects[] {
    return [...this.#calls.values()];
  }

  get roots(): RootEffects[] {
    return [...(this.#roots?.values() ?? [])];
  }

  of(thread: string | null, id: string | null, rootPid: number): Effects | undefined {
    return id === null ? this.#ofRoot(rootPid) : this.#ofCall(thread, id);
  }

  #ofCall(thread: string | null, id: string): ToolCallEffects {
    const known = this.#known.get(thread, id);
    const key = `${thread} ${known?.id ?? id}`;
    let call = this.#calls.get(key);
    if (call === undefined) {
      call = { ...emptyEffects(undefined), tool_call_id: id, codex_thread_id: thread };
      this.#calls.set(key, call);
    }
    return call;
  }

  #ofRoot(rootPid: number): RootEffects | undefined {
    if (this.#roots === undefined) return undefined;
    let root = this.#roots.get(rootPid);
    if (root === undefined) {
      root = { root_pid: rootPid, ...noEffects() };
      this.#roots.set(rootPid, root);
    }
    return root;
  }
}

function emptyEffects(call: KnownCall | undefined): ToolCallEffects {
  const micros = (ns: bigint | undefined): number | null => (ns === undefined ? null : Number(ns / 1000n));
  return {
    tool_call_id: call?.id ?? '',
    codex_thread_id: call?.threadId ?? null,
    tool: call?.tool ?? null,
    request: call?.request ?? null,
    status: call?.status ?? null,
    started_at: micros(call?.startNs),
    ended_at: micros(call?.endNs),
    ...noEffects(),
  };
}
