// One rollout file: which thread it is, where it comes from, and what it spent. Owns the reading of lines
// that Codex wrote (codex-rs/rollout) and the warnings about those that it did not write well. How threads
// form sessions is session-map.ts.
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { countAt, type JsonObject, objectAt, parseObject, stringAt } from '../interpret/json.js';
import { type Line, LineSplitter, MAX_LINE_BYTES } from './line-splitter.js';
import { parseRolloutName, parseUuid } from './rollout-name.js';
import { type TokenUsage, UsageMeter, usageAt } from './token-usage.js';

export type ThreadKind = 'root' | 'subagent' | 'fork' | 'review';

export interface Rollout {
  path: string;
  threadId: string;
  sessionId: string;
  parentThreadId: string | null;
  forkedFromId: string | null;
  kind: ThreadKind;
  agentPath: string | null;
  nickname: string | null;
  role: string | null;
  cwd: string | null;
  cliVersion: string | null;
  /** In the order of first use. */
  models: string[];
  /** RFC 3339 as Codex wrote it. */
  startedAt: string | null;
  endedAt: string | null;
  turns: number;
  usage: TokenUsage;
  /** Responses that the file itself names, which only newer versions do. */
  responseIds: string[];
  warnings: string[];
}

/** Warnings beyond this number are only counted. */
const MAX_WARNINGS = 20;
const CHUNK_BYTES = 1024 * 1024;

/**
 * Reads a rollout file in bounded memory.
 *
 * @returns undefined when the name is no rollout's and no line says whose thread it is
 * @throws the system error when the file cannot be read
 */
export async function readRollout(path: string): Promise<Rollout | undefined> {
  const scan = new RolloutScan(path);
  const file = await open(path);
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length);
      if (bytesRead === 0) break;
      scan.push(chunk.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
  return scan.end();
}

/** Push-style reader of one rollout file: bytes in chunks of any size, the result at the end. */
export class RolloutScan {
  readonly #path: string;
  readonly #namedThread: string | undefined;
  readonly #lines = new LineSplitter();
  readonly #turns = new Set<string>();
  readonly #models = new Set<string>();
  readonly #responses = new Set<string>();
  readonly #warnings: string[] = [];
  #warningsOmitted = 0;
  #meta: JsonObject = {};
  #hasMeta = false;
  #threadId: string | undefined;
  #startedAt: string | null = null;
  #endedAt: string | null = null;
  #meter = new UsageMeter(false);
  /** The file began with another thread's history and no turn of its own has come yet. */
  #inTheirHistory = false;
  /** A turn that has started and not yet ended. */
  #openTurn: string | undefined;
  #namelessTurns = 0;

  constructor(path: string) {
    this.#path = path;
    this.#namedThread = parseRolloutName(basename(path))?.threadId;
    this.#threadId = this.#namedThread;
  }

  push(chunk: Uint8Array): void {
    for (const line of this.#lines.push(chunk)) this.#read(line);
  }

  end(): Rollout | undefined {
    const last = this.#lines.end();
    if (last !== undefined) this.#read(last);
    const threadId = this.#threadId;
    if (threadId === undefined) return undefined;
    if (!this.#hasMeta) this.#warn('there is no session_meta line: session and origin are not known');
    if (this.#openTurn !== undefined) this.#turns.add(this.#openTurn);
    if (this.#warningsOmitted > 0) this.#warnings.push(`… and ${this.#warningsOmitted} more warnings`);
    const kind = kindOf(this.#meta);
    const spawn = spawnOf(this.#meta);
    const isRoot = kind === 'root' || kind === 'fork';
    return {
      path: this.#path,
      threadId,
      sessionId: idAt(this.#meta, 'session_id') ?? threadId,
      parentThreadId: idAt(this.#meta, 'parent_thread_id') ?? idAt(spawn, 'parent_thread_id') ?? null,
      forkedFromId: idAt(this.#meta, 'forked_from_id') ?? null,
      kind,
      agentPath:
        stringAt(this.#meta, 'agent_path') ?? stringAt(spawn, 'agent_path') ?? (isRoot ? '/root' : null),
      nickname: stringAt(this.#meta, 'agent_nickname') ?? stringAt(spawn, 'agent_nickname') ?? null,
      role:
        stringAt(this.#meta, 'agent_role') ??
        stringAt(this.#meta, 'agent_type') ??
        stringAt(spawn, 'agent_role') ??
        null,
      cwd: stringAt(this.#meta, 'cwd') ?? null,
      cliVersion: stringAt(this.#meta, 'cli_version') ?? null,
      models: [...this.#models],
      startedAt: this.#startedAt,
      endedAt: this.#endedAt,
      turns: this.#turns.size + this.#namelessTurns,
      usage: this.#meter.used,
      responseIds: [...this.#responses],
      warnings: this.#warnings,
    };
  }

  #read({ number, place, bytes, ended }: Line): void {
    const where = `line ${number} (byte ${place})`;
    if (bytes === undefined) {
      this.#warn(`${where} is longer than ${MAX_LINE_BYTES} bytes and was left out`);
      return;
    }
    const row = parseObject(bytes.toString('utf8'));
    if (row === undefined) {
      this.#warn(
        `${where} ${ended ? 'is no JSON object and was left out' : 'is torn: the file ends inside it'}`,
      );
      return;
    }
    const timestamp = timeAt(row, 'timestamp');
    if (timestamp !== undefined) {
      this.#startedAt ??= timestamp;
      this.#endedAt = timestamp;
    }
    const payload = objectAt(row, 'payload');
    if (payload === undefined) return;
    switch (row.type) {
      case 'session_meta':
        // A second one is the history's, copied by a fork.
        if (!this.#hasMeta) this.#readMeta(payload);
        break;
      case 'turn_context':
        this.#readTurnContext(payload);
        break;
      case 'token_usage_record':
        this.#readRecord(row, payload);
        break;
      case 'event_msg':
        this.#readEvent(row, payload);
        break;
    }
  }

  #readMeta(meta: JsonObject): void {
    this.#hasMeta = true;
    this.#meta = meta;
    this.#startedAt = timeAt(meta, 'timestamp') ?? this.#startedAt;
    const id = idAt(meta, 'id');
    if (this.#namedThread !== undefined && id !== undefined && id !== this.#namedThread) {
      this.#warn(`the name says thread ${this.#namedThread}, the first line says ${id}`);
    }
    this.#threadId ??= id;
    this.#inTheirHistory = idAt(meta, 'forked_from_id') !== undefined;
    this.#meter = new UsageMeter(this.#inTheirHistory);
  }

  #readTurnContext(context: JsonObject): void {
    const turn = stringAt(context, 'turn_id');
    this.#enterTurn(turn);
    if (this.#inTheirHistory) return;
    if (turn === undefined) this.#namelessTurns++;
    else this.#turns.add(turn);
    const model = stringAt(context, 'model');
    if (model !== undefined) this.#models.add(model);
  }

  #readRecord(row: JsonObject, record: JsonObject): void {
    const usage = usageAt(record, 'usage');
    const thread = idAt(record, 'thread_id') ?? this.#threadId;
    if (usage === undefined || thread !== this.#threadId || this.#isInherited(row)) return;
    const response = stringAt(record, 'response_id');
    if (response !== undefined) {
      if (this.#responses.has(response)) return;
      this.#responses.add(response);
    }
    this.#meter.record(usage);
  }

  #readEvent(row: JsonObject, event: JsonObject): void {
    const turn = stringAt(event, 'turn_id');
    switch (event.type) {
      case 'task_started':
      case 'turn_started':
        this.#enterTurn(turn);
        if (!this.#inTheirHistory) this.#openTurn = turn;
        break;
      case 'task_complete':
      case 'turn_complete':
      case 'turn_aborted':
        // A review writes the start of its child's turn here, and the end of its own.
        this.#openTurn = undefined;
        if (turn !== undefined && !this.#precedesThread(turn)) this.#turns.add(turn);
        break;
      case 'token_count':
        this.#readTokenCount(row, event);
        break;
    }
  }

  #readTokenCount(row: JsonObject, event: JsonObject): void {
    const info = objectAt(event, 'info');
    const total = usageAt(info, 'total_token_usage');
    if (total === undefined) return;
    if (this.#isInherited(row)) this.#meter.inherit(total);
    else this.#meter.count(total, usageAt(info, 'last_token_usage'));
  }

  #enterTurn(turn: string | undefined): void {
    if (this.#inTheirHistory && turn !== undefined) this.#inTheirHistory = this.#precedesThread(turn);
  }

  /**
   * Turn and thread ids are UUIDv7, which sort by the time at which they were made: a turn that is older
   * than its thread came with the history that the thread was forked from.
   */
  #precedesThread(turn: string): boolean {
    if (idAt(this.#meta, 'forked_from_id') === undefined) return false;
    const id = parseUuid(turn);
    return id !== undefined && this.#threadId !== undefined && id < this.#threadId;
  }

  #isInherited(row: JsonObject): boolean {
    const ordinal = countAt(row, 'ordinal');
    const start = countAt(this.#meta, 'subagent_history_start_ordinal');
    return ordinal === undefined || start === undefined ? this.#inTheirHistory : ordinal < start;
  }

  #warn(text: string): void {
    if (this.#warnings.length < MAX_WARNINGS) this.#warnings.push(text);
    else this.#warningsOmitted++;
  }
}

function kindOf(meta: JsonObject): ThreadKind {
  const source = objectAt(meta, 'source');
  if (stringAt(source, 'subagent') === 'review') return 'review';
  if (source?.subagent !== undefined || stringAt(meta, 'thread_source') === 'subagent') return 'subagent';
  return idAt(meta, 'forked_from_id') === undefined ? 'root' : 'fork';
}

/** What `source` says of a spawned sub-agent; older versions say it nowhere else. */
function spawnOf(meta: JsonObject): JsonObject | undefined {
  return objectAt(objectAt(objectAt(meta, 'source'), 'subagent'), 'thread_spawn');
}

function idAt(value: unknown, key: string): string | undefined {
  const id = stringAt(value, key);
  return id === undefined ? undefined : (parseUuid(id) ?? id);
}

function timeAt(value: unknown, key: string): string | undefined {
  const time = stringAt(value, key);
  return time === undefined || Number.isNaN(Date.parse(time)) ? undefined : time;
}
