// One rollout file: which thread it is, where it comes from, and what it spent. Owns the reading of lines
// that Codex wrote (codex-rs/rollout) and the warnings about those that it did not write well. How threads
// form sessions is session-map.ts.
import { basename } from 'node:path';
import { type JsonObject, objectAt, stringAt } from '../interpret/json.js';
import { type Clocks, compareClocks } from './clocks.js';
import { CopiedHistory, type CountMarks, countMark, type Origin } from './copied-history.js';
import { type Line, LineSplitter, MAX_LINE_BYTES } from './line-splitter.js';
import { readRolloutBytes } from './rollout-bytes.js';
import { readDocument } from './rollout-document.js';
import { isPrompt, type RolloutRow, readLine } from './rollout-line.js';
import { parseRolloutName, parseUuid, type RolloutName } from './rollout-name.js';
import { readThreadMeta, type ThreadMeta } from './thread-meta.js';
import { addUsage, noUsage, type TokenUsage, UsageMeter, usageAt } from './token-usage.js';
import { type Turn, Turns } from './turns.js';

export interface ModelUsage {
  /** Null for what was spent before the file names a model. */
  model: string | null;
  usage: TokenUsage;
}

export interface Rollout extends ThreadMeta {
  path: string;
  threadId: string;
  sessionId: string;
  /** In the order of first use. */
  models: string[];
  /** RFC 3339 as Codex wrote it. */
  startedAt: string | null;
  endedAt: string | null;
  clocks: Clocks;
  turns: Turn[];
  usage: TokenUsage;
  usageByModel: ModelUsage[];
  /** Responses that the file itself names, which only newer versions do. */
  responseIds: string[];
  /** Ids of response items and of tool calls, when they were asked for. */
  itemIds: string[];
  /** All token counts, for threads that copied them. */
  counts: CountMarks;
  /** The thread whose file would tell for certain what this one copied from it. */
  missingOrigin: string | undefined;
  warnings: string[];
}

export interface RolloutOptions {
  /** The token counts of a thread that this one may have copied; undefined when its file was not read. */
  countsOf?: (threadId: string) => CountMarks | undefined;
  /** Collect `itemIds`. */
  withItems?: boolean;
}

const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/;
/** Warnings beyond this number are only counted. */
const MAX_WARNINGS = 20;

/**
 * Reads a rollout file, plain or compressed, in bounded memory.
 *
 * @returns undefined when the name is no rollout's and no line says whose thread it is
 * @throws the system error when the file cannot be read
 */
export async function readRollout(path: string, options: RolloutOptions = {}): Promise<Rollout | undefined> {
  const scan = new RolloutScan(path, options);
  if (parseRolloutName(basename(path))?.form === 'json') {
    const document = await readDocument(path);
    if ('lines' in document) scan.push(document.lines);
    else scan.warn(document.problem);
    return scan.end();
  }
  const read = await readRolloutBytes(path, (bytes) => scan.push(bytes));
  if (read.problem !== undefined) scan.warn(`it ${read.problem}; only what comes before that was read`);
  const rollout = scan.end();
  return rollout && { ...rollout, path: read.path };
}

/** Push-style reader of one rollout file: bytes in chunks of any size, the result at the end. */
export class RolloutScan {
  readonly #path: string;
  readonly #name: RolloutName | undefined;
  readonly #options: RolloutOptions;
  readonly #lines = new LineSplitter();
  readonly #turns = new Turns();
  readonly #usageByModel = new Map<string | null, TokenUsage>();
  readonly #responses = new Set<string>();
  readonly #items = new Set<string>();
  readonly #counts: CountMarks = { marks: [], times: [] };
  readonly #warnings: string[] = [];
  #warningsOmitted = 0;
  #meta: ThreadMeta | undefined;
  #threadId: string | undefined;
  #model: string | null = null;
  #startedAt: string | undefined;
  #endedAt: string | undefined;
  #meter = new UsageMeter(false);
  #history = new CopiedHistory('', 0, undefined);
  #origin: Origin | undefined;

  constructor(path: string, options: RolloutOptions = {}) {
    this.#path = path;
    this.#options = options;
    this.#name = parseRolloutName(basename(path));
    this.#threadId = this.#name?.threadId;
  }

  push(chunk: Uint8Array): void {
    for (const line of this.#lines.push(chunk)) this.#read(line);
  }

  end(): Rollout | undefined {
    const last = this.#lines.end();
    if (last !== undefined) this.#read(last);
    const threadId = this.#threadId;
    if (threadId === undefined) return undefined;
    const meta = this.#meta ?? readThreadMeta({});
    if (this.#meta === undefined)
      this.warn('there is no session_meta line: session and origin are not known');
    const { clocks, warnings } = compareClocks(this.#name?.localTime, threadId, meta.timestamp ?? undefined);
    for (const warning of warnings) this.warn(warning);
    const missingOrigin = this.#history.isGuess ? this.#origin?.threadId : undefined;
    if (missingOrigin !== undefined)
      this.warn(`what it copied from ${missingOrigin}, whose file was not read, is told by its time alone`);
    if (this.#warningsOmitted > 0) this.#warnings.push(`… and ${this.#warningsOmitted} more warnings`);
    return {
      ...meta,
      path: this.#path,
      threadId,
      sessionId: meta.sessionId ?? threadId,
      models: [...this.#usageByModel.keys()].filter((model) => model !== null),
      startedAt: meta.timestamp ?? this.#startedAt ?? null,
      endedAt: this.#endedAt ?? null,
      clocks,
      turns: this.#turns.finish(),
      usage: this.#meter.used,
      usageByModel: [...this.#usageByModel].map(([model, usage]) => ({ model, usage })),
      responseIds: [...this.#responses],
      itemIds: [...this.#items],
      counts: this.#counts,
      missingOrigin,
      warnings: this.#warnings,
    };
  }

  warn(text: string): void {
    if (this.#warnings.length < MAX_WARNINGS) this.#warnings.push(text);
    else this.#warningsOmitted++;
  }

  #read({ number, place, bytes, ended }: Line): void {
    const where = () => `line ${number} (byte ${place})`;
    if (bytes === undefined) {
      this.warn(`${where()} is longer than ${MAX_LINE_BYTES} bytes and was left out`);
      return;
    }
    const line = readLine(bytes, ended, this.#options.withItems === true);
    if (line.kind === 'bad') {
      const what = ended ? 'is no JSON object and was left out' : 'is torn: the file ends inside it';
      this.warn(`${where()} ${what}`);
      return;
    }
    if (line.timestamp !== undefined && TIMESTAMP.test(line.timestamp)) {
      this.#startedAt ??= line.timestamp;
      this.#endedAt = line.timestamp;
    }
    if (line.kind === 'row') this.#readRow(line);
  }

  #readRow(row: RolloutRow): void {
    switch (row.type) {
      case 'session_meta':
        this.#readMeta(row.payload);
        break;
      case 'turn_context':
        this.#readTurnContext(row);
        break;
      case 'token_usage_record':
        this.#readRecord(row);
        break;
      case 'event_msg':
        this.#readEvent(row);
        break;
      case 'response_item':
        this.#readItem(row.payload);
        break;
      case 'bare_item':
        // Prompts are all that tells turns apart in files from before there were turns.
        if (isPrompt(row.payload)) this.#turns.context(undefined, undefined, row.timestamp);
        this.#readItem(row.payload);
        break;
    }
  }

  #readMeta(payload: JsonObject): void {
    const meta = readThreadMeta(payload);
    if (this.#meta !== undefined) {
      // It came with the history of the thread that it is of, and says nothing of this one.
      if (this.#origin === undefined) this.#startHistory(meta.id ?? undefined, true);
      return;
    }
    this.#meta = meta;
    if (this.#threadId !== undefined && meta.id !== null && meta.id !== this.#threadId) {
      this.warn(`the name says thread ${this.#threadId}, the first line says ${meta.id}`);
    }
    this.#threadId ??= meta.id ?? undefined;
    const spawner = meta.kind === 'subagent' ? meta.parentThreadId : null;
    this.#startHistory(meta.forkedFromId ?? spawner ?? undefined, meta.forkedFromId !== null);
  }

  /** @param inheritsTotal the running total of the thread goes on from that of `originId` */
  #startHistory(originId: string | undefined, inheritsTotal: boolean): void {
    if (originId === undefined || this.#threadId === undefined || originId === this.#threadId) return;
    this.#origin = { threadId: originId, counts: this.#options.countsOf?.(originId) };
    const createdMs = Date.parse(this.#meta?.timestamp ?? this.#startedAt ?? '');
    this.#history = new CopiedHistory(this.#threadId, createdMs, this.#origin, this.#meta?.firstOwnOrdinal);
    this.#meter = new UsageMeter(inheritsTotal);
  }

  #readTurnContext({ payload, timestamp }: RolloutRow): void {
    const turn = stringAt(payload, 'turn_id');
    this.#history.enterTurn(turn);
    if (this.#history.isCopied) return;
    this.#model = stringAt(payload, 'model') ?? this.#model;
    this.#turns.context(turn, this.#model ?? undefined, timestamp);
    if (this.#model !== null) this.#modelUsage(this.#model);
  }

  #readRecord({ payload, ordinal }: RolloutRow): void {
    const usage = usageAt(payload, 'usage');
    const thread = idAt(payload, 'thread_id') ?? this.#threadId;
    if (usage === undefined || thread !== this.#threadId || this.#history.isCopiedRow(ordinal)) return;
    const response = stringAt(payload, 'response_id');
    if (response !== undefined) {
      if (this.#responses.has(response)) return;
      this.#responses.add(response);
    }
    this.#meter.record(usage);
    this.#spend(usage, stringAt(payload, 'turn_id'));
  }

  #readEvent(row: RolloutRow): void {
    const turn = stringAt(row.payload, 'turn_id');
    switch (row.payload.type) {
      case 'task_started':
      case 'turn_started':
        this.#history.enterTurn(turn);
        if (!this.#history.isCopied) this.#turns.start(turn, row.timestamp);
        break;
      case 'task_complete':
      case 'turn_complete':
      case 'turn_aborted':
        if (turn === undefined ? this.#history.isCopied : this.#history.precedesThread(turn)) return;
        this.#turns.end(
          turn,
          row.payload.type === 'turn_aborted' ? 'aborted' : 'completed',
          row.timestamp,
          !this.#history.isOwn,
        );
        break;
      case 'token_count':
        this.#readTokenCount(row);
        break;
    }
  }

  #readTokenCount({ payload, timestamp, ordinal }: RolloutRow): void {
    const info = objectAt(payload, 'info');
    const total = usageAt(info, 'total_token_usage');
    if (total === undefined) return;
    const last = usageAt(info, 'last_token_usage');
    const mark = countMark(total, last);
    const time = Date.parse(timestamp ?? '');
    this.#counts.marks.push(mark);
    this.#counts.times.push(time);
    if (this.#history.isCopiedCount(mark, time, ordinal)) {
      this.#meter.inherit(total);
      this.#turns.forget();
      this.#usageByModel.clear();
      this.#model = null;
    } else {
      const added = this.#meter.count(total, last);
      if (added.total_tokens + added.input_tokens + added.output_tokens > 0) this.#spend(added);
    }
  }

  #readItem(item: JsonObject): void {
    if (this.#options.withItems !== true) return;
    for (const id of [stringAt(item, 'id'), stringAt(item, 'call_id')]) {
      if (id !== undefined) this.#items.add(id);
    }
  }

  #spend(usage: TokenUsage, turn?: string): void {
    const model = this.#turns.spend(usage, turn) ?? this.#model;
    addUsage(this.#modelUsage(model), usage);
  }

  #modelUsage(model: string | null): TokenUsage {
    const known = this.#usageByModel.get(model);
    if (known !== undefined) return known;
    const usage = noUsage();
    this.#usageByModel.set(model, usage);
    return usage;
  }
}

function idAt(value: unknown, key: string): string | undefined {
  const id = stringAt(value, key);
  return id === undefined ? undefined : (parseUuid(id) ?? id);
}
