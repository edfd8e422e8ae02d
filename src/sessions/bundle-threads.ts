// The threads that a trace bundle knows of, and the responses that each of them received. Owns the few events
// of trace.jsonl that say so; everything else about a bundle is src/trace and src/reduce.
import { createReadStream, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.js';
import { arrayAt, type JsonObject, objectAt, parseObject, stringAt } from '../interpret/json.js';
import { type Line, LineSplitter } from './line-splitter.js';
import type { SkippedFile } from './rollout-search.js';

/** `header`: agsight saw the thread's id on the request. `trace`: Codex's own tracer wrote it. */
export type BundleAttribution = 'header' | 'trace';

export interface BundleThread {
  threadId: string;
  /** The root thread of the bundle, whose id is the session's unless its rollout file says otherwise. */
  rootThreadId: string;
  agentPath: string | null;
  /** In the order of completion. */
  responseIds: string[];
  by: BundleAttribution;
}

export interface BundleThreads {
  threads: BundleThread[];
  /** CODEX_HOME directories of the captured processes, as the capture noted them. */
  codexHomes: string[];
  skipped: SkippedFile[];
}

/** Whether a directory is a bundle: of agsight (capture.json) or of Codex itself (manifest.json). */
export function isBundle(directory: string): boolean {
  return ['capture.json', 'manifest.json'].some((name) => existsSync(join(directory, name)));
}

/** Reads the traces of a bundle: its own, or those below rollouts/ when it saw several root threads. */
export async function readBundleThreads(directory: string): Promise<BundleThreads> {
  const result: BundleThreads = { threads: [], codexHomes: [], skipped: [] };
  const by = readCapture(directory, result) ? 'header' : 'trace';
  for (const bundle of traceDirectories(directory)) {
    try {
      result.threads.push(...(await readTrace(bundle, by, result.skipped)));
    } catch (error) {
      const file = join(bundle, 'trace.jsonl');
      const code = systemErrorCode(error);
      const reason =
        code === 'ENOENT' ? 'is missing: run agsight reduce on the bundle' : `cannot be read: ${code}`;
      result.skipped.push({ file, reason });
    }
  }
  return result;
}

/** Takes the homes from capture.json; false when there is none, so that Codex wrote the bundle. */
function readCapture(directory: string, result: BundleThreads): boolean {
  const file = join(directory, 'capture.json');
  if (!existsSync(file)) return false;
  const capture = parseObject(readFileSync(file, 'utf8'));
  if (capture === undefined)
    result.skipped.push({ file, reason: 'is no JSON object: the homes of Codex are not known' });
  const homes = arrayAt(capture, 'codex_homes') ?? [];
  result.codexHomes = homes.filter((home) => typeof home === 'string');
  return true;
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
  by: BundleAttribution,
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
  readonly #by: BundleAttribution;
  readonly #lines = new LineSplitter();
  readonly #threads = new Map<string, BundleThread>();
  /** Inference calls that have not completed, with their threads. */
  readonly #calls = new Map<string, string>();
  #rootThreadId: string | undefined;
  #badLines = 0;

  constructor(by: BundleAttribution) {
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
        if (owner !== undefined && response !== undefined) this.#thread(owner).responseIds.push(response);
        break;
      }
    }
  }

  #thread(threadId: string): BundleThread {
    const known = this.#threads.get(threadId);
    if (known !== undefined) return known;
    const thread = { threadId, rootThreadId: threadId, agentPath: null, responseIds: [], by: this.#by };
    this.#threads.set(threadId, thread);
    return thread;
  }
}
