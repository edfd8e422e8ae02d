// Rollouts of the first Codex, which was written in TypeScript and kept a session as one JSON document:
// `{"session": {"id", "timestamp", "instructions"}, "items": [...]}`. Owns turning it into lines.
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { arrayAt, objectAt, parseObject } from '../interpret/json.js';

/** Largest document that is read: it has to be in memory as a whole. */
const MAX_DOCUMENT_BYTES = 32 * 1024 * 1024;

/**
 * The document as the lines that the next versions wrote.
 *
 * @returns what is wrong with it when it is no such document
 * @throws the system error when the file cannot be read
 */
export async function readDocument(path: string): Promise<{ lines: Buffer } | { problem: string }> {
  if (statSync(path).size > MAX_DOCUMENT_BYTES)
    return { problem: `is larger than ${MAX_DOCUMENT_BYTES} bytes` };
  const document = parseObject((await readFile(path, 'utf8')).replace(/^\ufeff/, ''));
  const session = objectAt(document, 'session');
  if (session === undefined) return { problem: 'is no JSON document with a session' };
  const rows = [session, ...(arrayAt(document, 'items') ?? [])];
  return { lines: Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join('')) };
}
