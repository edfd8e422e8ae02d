// The recorded rollout files of test/fixtures/rollouts, and rollout files made line by line.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { type Rollout, type RolloutOptions, RolloutScan } from '../../src/sessions/rollout-file.js';

export const FIXTURES = fileURLToPath(new URL('../fixtures/rollouts', import.meta.url));

/** Paths of a run's rollout files, by name. */
export function recorded(run: string): string[] {
  const directory = join(FIXTURES, run);
  return readdirSync(directory)
    .filter((name) => name.startsWith('rollout-'))
    .sort()
    .map((name) => join(directory, name));
}

export function scanBytes(
  name: string,
  bytes: Uint8Array,
  size = bytes.length,
  options: RolloutOptions = {},
): Rollout | undefined {
  const scan = new RolloutScan(name, options);
  const chunk = Buffer.alloc(Math.max(size, 1));
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    chunk.set(part);
    scan.push(chunk.subarray(0, part.length));
    chunk.fill('!');
  }
  return scan.end();
}

export function scanFile(path: string): Rollout | undefined {
  return scanBytes(basename(path), readFileSync(path));
}

/** When the made-up files were made. */
export const MADE_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

/** A UUIDv7 made so many milliseconds later. */
export function idAt(milliseconds: number): string {
  const time = (MADE_MS + milliseconds).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000`;
}

export function fileName(threadId: string): string {
  return `rollout-2026-01-02T03-04-05-${threadId}.jsonl`;
}

/** One line of a rollout file. */
export function line(type: string, payload: object, fields: object = {}): string {
  return JSON.stringify({ timestamp: '2026-01-02T03:04:05.000Z', type, payload, ...fields });
}

export function turn(id: string, model = 'gpt-5.5'): string[] {
  return [
    line('event_msg', { type: 'task_started', turn_id: id }),
    line('turn_context', { turn_id: id, model }),
  ];
}

/** A token_count whose total and last response are `total` and `last` input tokens. */
export function tokenCount(total: number, last: number): string {
  const usage = (tokens: number) => ({ input_tokens: tokens, output_tokens: 0, total_tokens: tokens });
  const info = { total_token_usage: usage(total), last_token_usage: usage(last) };
  return line('event_msg', { type: 'token_count', info });
}

export function scanLines(
  threadId: string,
  lines: readonly string[],
  name = fileName(threadId),
  options: RolloutOptions = {},
): Rollout | undefined {
  return scanBytes(name, Buffer.from(`${lines.join('\n')}\n`), undefined, options);
}

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'agsight-sessions-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
