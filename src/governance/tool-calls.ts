// The tool calls of a reduced bundle, as far as it takes to find the call behind a process or a change of a file:
// when each ran, what command it asked for, which files it named.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAsked } from '../interpret/asked-command.js';
import { bundlesOf } from '../reduce/find-bundles.js';
import { replayBundle } from '../reduce/replay.js';
import type { ReducedState, ToolCall } from '../reduce/state.js';
import { MANIFEST_FILE } from '../trace/bundle-reader.js';

export interface KnownCall {
  id: string;
  threadId: string;
  tool: string;
  /** What was asked for, in one string: the command, or what the bundle shows of other input. */
  request: string;
  startNs: bigint;
  /** Undefined while it ran when the recording ended. */
  endNs: bigint | undefined;
  status: string;
}

const NS_PER_MS = 1_000_000n;
/** Calls are timed by what went over the wire, in whole milliseconds. */
const slackNs = 5n * NS_PER_MS;
/** Headers of a patch, in plain text or inside a string of a program. */
const patchHeader = /\*\*\* (?:(?:Add|Update|Delete) File|Move to): (.+?)(?=\\n|[\n"'`]|$)/g;

export interface Run {
  directory: string;
  state: ReducedState;
}

/** The reduced runs in a bundle directory: one, one per root thread, or none when it was never interpreted. */
export async function loadRuns(bundle: string): Promise<Run[]> {
  const directories = (await bundlesOf(bundle)).filter((dir) => existsSync(join(dir, MANIFEST_FILE)));
  const runs: Run[] = [];
  for (const directory of directories) runs.push({ directory, state: (await replayBundle(directory)).state });
  return runs;
}

export class ToolCalls {
  readonly #byId = new Map<string, KnownCall>();
  readonly #byThread = new Map<string, KnownCall[]>();
  /** Calls by the last component of a path that they name, or of a directory above it. */
  readonly #byName = new Map<string, { call: KnownCall; path: string }[]>();

  constructor(runs: readonly Run[]) {
    for (const { directory, state } of runs) {
      for (const call of state.tool_calls.values()) this.#add(directory, state, call);
    }
  }

  get all(): KnownCall[] {
    return [...this.#byId.values()];
  }

  get(threadId: string | null, callId: string): KnownCall | undefined {
    return this.#byId.get(`${threadId} ${callId}`);
  }

  /**
   * The call of a thread that a process belongs to whose environment names the thread alone: the one that asked for its
   * command, or the only one that was running.
   */
  ofProcess(
    threadId: string,
    timeNs: bigint,
    argv: readonly string[],
  ): { call: KnownCall; by: 'command' | 'time' } | undefined {
    const running = (this.#byThread.get(threadId) ?? []).filter((call) => isRunning(call, timeNs));
    const asked = running.filter(({ request }) => isAsked(argv, request));
    const [call, ...others] = asked.length > 0 ? asked : running;
    if (call === undefined || others.length > 0) return undefined;
    return { call, by: asked.length > 0 ? 'command' : 'time' };
  }

  /** The call that named this path, or one below it, while it ran. */
  ofPath(timeNs: bigint, path: string): KnownCall | undefined {
    const candidates = this.#byName.get(lastComponent(path)) ?? [];
    return candidates.findLast(
      ({ call, path: named }) => isRunning(call, timeNs) && (path === named || path.endsWith(`/${named}`)),
    )?.call;
  }

  #add(directory: string, state: ReducedState, call: ToolCall): void {
    const texts = stringsOf(readPayload(directory, state, call.raw_invocation_payload_id));
    const operation = state.terminal_operations.get(call.terminal_operation_id ?? '')?.request;
    const known: KnownCall = {
      id: call.tool_call_id,
      threadId: call.thread_id,
      tool: texts.get('tool_name') ?? call.kind.type,
      request:
        texts.get('cmd') ??
        texts.get('command') ??
        (operation?.type === 'exec_command' ? operation.display_command : undefined) ??
        texts.get('input') ??
        texts.get('arguments') ??
        '',
      startNs: BigInt(call.execution.started_at_unix_ms) * NS_PER_MS,
      endNs:
        call.execution.ended_at_unix_ms === null
          ? undefined
          : BigInt(call.execution.ended_at_unix_ms) * NS_PER_MS,
      status: call.execution.status,
    };
    this.#byId.set(`${known.threadId} ${known.id}`, known);
    const visible = call.model_visible_call_id;
    if (visible !== null && visible !== known.id) this.#byId.set(`${known.threadId} ${visible}`, known);
    const ofThread = this.#byThread.get(known.threadId) ?? [];
    ofThread.push(known);
    this.#byThread.set(known.threadId, ofThread);
    for (const text of texts.values()) {
      for (const [, path] of text.matchAll(patchHeader)) if (path !== undefined) this.#name(known, path);
    }
  }

  /** A patch may make the directories above a file too. */
  #name(call: KnownCall, path: string): void {
    for (
      let part = path.trim();
      part !== '' && part !== '.';
      part = part.slice(0, Math.max(part.lastIndexOf('/'), 0))
    ) {
      const name = lastComponent(part);
      const named = this.#byName.get(name) ?? [];
      named.push({ call, path: part });
      this.#byName.set(name, named);
    }
  }
}

function isRunning({ startNs, endNs }: KnownCall, timeNs: bigint): boolean {
  return timeNs >= startNs - slackNs && (endNs === undefined || timeNs <= endNs + slackNs);
}

function lastComponent(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function readPayload(directory: string, state: ReducedState, id: string | null): unknown {
  const payload = id === null ? undefined : state.raw_payloads.get(id);
  if (payload === undefined) return undefined;
  try {
    return JSON.parse(readFileSync(join(directory, payload.path), 'utf8'));
  } catch {
    return undefined;
  }
}

/** The strings in a JSON value by the name of their member, those in JSON within JSON too; the first of a name counts. */
function stringsOf(value: unknown, name = '', found = new Map<string, string>()): Map<string, string> {
  if (typeof value === 'string') {
    if (!found.has(name)) found.set(name, value);
    if (value.startsWith('{')) {
      try {
        stringsOf(JSON.parse(value), name, found);
      } catch {
        // Not JSON after all.
      }
    }
  } else if (Array.isArray(value)) {
    if (name === 'command' && value.every((part) => typeof part === 'string'))
      found.set(name, value.join(' '));
    for (const part of value) stringsOf(part, `${name}[]`, found);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, part] of Object.entries(value)) stringsOf(part, key, found);
  }
  return found;
}
