// The threads that a trace bundle knows of, and the responses that each of them received. Owns the few events
// of trace.jsonl that say so; everything else about a bundle is src/trace and src/reduce.
import { createReadStream, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.js';
import { arrayAt, type JsonObject, objectAt, parseObject, stringAt } from '../interpret/json.js';
import type { AttributionReason } from './attribution.js';
import { type Line, LineSplitter } from './line-splitter.js';
import type { SkippedFile } from './rollout-search.js';

/** A thread as a bundle knows it. */
export interface BundleThread {
  threadId: string;
  /** Undefined where only the root thread is known. */
  sessionId: string | undefined;
  /** The root thread of the bundle, whose id is the session's unless something says otherwise. */
  rootThreadId: string;
  parentThreadId: string | null;
  agentPath: string | null;
  /** In the order of completion. */
  responses: ThreadResponse[];
}

export interface ThreadResponse {
  response_id: string;
  /** The process that received it, where that is known. */
  pid: number | null;
  by: ResponseReason;
}

/**
 * Why a response is a thread's: a sign on the wire, Codex's own trace (`trace`), or the rollout file's own
 * record of it.
 */
type ResponseReason = AttributionReason | 'trace' | 'token_usage_record';

/** Whether a directory is a bundle: of agsight (capture.json) or of Codex itself (manifest.json). */
export function isBundle(directory: string): boolean {
  return ['capture.json', 'manifest.json'].some((name) => existsSync(join(directory, name)));
}

/** Homes of Codex that a capture noted; undefined when Codex wrote the bundle itself. */
export function readHomes(directory: string, skipped: SkippedFile[]): string[] | undefined {
  const file = join(directory, 'capture.json');
  if (!existsSync(file)) return undefined;
  const capture = parseObject(readFileSync(file, 'utf8'));
  if (capture === undefined)
    skipped.push({ file, reason: 'is no JSON object: the homes of Codex are not known' });
  return (arrayAt(capture, 'codex_homes') ?? []).filter((home) => typeof home === 'string');
}

/**
 * Reads the traces of a bundle: its own, or those below rollouts/ when it saw several root threads.
 *
 * @param by `header` for a trace that agsight made from what it saw, `trace` for one that Codex wrote
 */
export async function readTraceThreads(
  directory: string,
  by: 'header' | 'trace',
  skipped: SkippedFile[],
): Promise<BundleThread[]> {
  const threads: BundleThread[] = [];
  for (const bundle of traceDirectories(directory)) {
    try {
      threads.push(...(await readTrace(bundle, by, skipped)));
    } catch (error) {
      const file = join(bundle, 'trace.jsonl');
      const code = systemErrorCode(error);
      const reason =
        code === 'ENOENT' ? 'is missing: run agsight reduce on the bundle' : `cannot be read: ${code}`;
      skipped.push({ file, reason });
    }
  }
  return threads;
}

function traceDirectories(directory: string): string[] {
  const parent = join(directory, 'rollouts');
  if (existsSync(join(directory, 'trace.jsonl')) || !existsSync(parent)) return [directory];
  return readdirSync(parent, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(parent, entry.name))
    .sort();
}

async function readTrace(
  bundle: string,
  by: 'header' | 'trace',
  skipped: SkippedFile[],
): Promise<BundleThread[]> {
  const file = join(bundle, 'trace.jsonl');
  const scan = new TraceScan(by);
  for await (const chunk of createReadStream(file)) scan.push(chunk);
  const { threads, badLines } = scan.end();
  if (badLines > 0) skipped.push({ file, reason: `${badLines} lines are no JSON object and were left out` });
  return threads;
}

class TraceScan {
  readonly #by: 'header' | 'trace';
  readonly #lines = new LineSplitter();
  readonly #threads = new Map<string, BundleThread>();
  /** Inference calls that have not completed, with their threads. */
  readonly #calls = new Map<string, string>();
  #rootThreadId: string | undefined;
  #badLines = 0;

  constructor(by: 'header' | 'trace') {
    this.#by = by;
  }

  push(chunk: Uint8Array): void {
    for (const line of this.#lines.push(chunk)) this.#read(line);
  }

  end(): { threads: BundleThread[]; badLines: number } {
    const last = this.#lines.end();
    if (last !== undefined) this.#read(last);
    const threads = [...this.#threads.values()];
    for (const thread of threads) thread.rootThreadId = this.#rootThreadId ?? thread.threadId;
    return { threads, badLines: this.#badLines };
  }

  #read({ bytes }: Line): void {
    const payload = objectAt(
      bytes === undefined ? undefined : parseObject(bytes.toString('utf8')),
      'payload',
    );
    if (payload === undefined) this.#badLines++;
    else this.#apply(payload);
  }

  #apply(payload: JsonObject): void {
    const threadId = stringAt(payload, 'thread_id');
    const callId = stringAt(payload, 'inference_call_id') ?? '';
    switch (payload.type) {
      case 'rollout_started':
        this.#rootThreadId = stringAt(payload, 'root_thread_id');
        break;
      case 'thread_started':
        if (threadId !== undefined)
          this.#thread(threadId).agentPath = stringAt(payload, 'agent_path') ?? null;
        break;
      case 'inference_started':
        if (threadId !== undefined) this.#calls.set(callId, threadId);
        break;
      case 'inference_completed': {
        const owner = this.#calls.get(callId);
        const response = stringAt(payload, 'response_id');
        this.#calls.delete(callId);
        if (owner !== undefined && response !== undefined)
          this.#thread(owner).responses.push({ response_id: response, pid: null, by: this.#by });
        break;
      }
    }
  }

  #thread(threadId: string): BundleThread {
    const known = this.#threads.get(threadId);
    if (known !== undefined) return known;
    const thread = emptyThread(threadId);
    this.#threads.set(threadId, thread);
    return thread;
  }
}

export function emptyThread(threadId: string): BundleThread {
  return {
    threadId,
    sessionId: undefined,
    rootThreadId: threadId,
    parentThreadId: null,
    agentPath: null,
    responses: [],
  };
}
