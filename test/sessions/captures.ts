// Bundles made of evidence events, with the home of Codex that the capture noted.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CaptureEndEvent, CheckpointEvent, EvidenceEvent } from '../../src/evidence/event.js';
import { EvidenceWriter, type RecordedEvent } from '../../src/evidence/writer.js';
import { sse } from '../interpret/story.js';
import { Wire } from '../support/wire.js';
import { temporaryDirectory } from './rollouts.js';

export const CODEX = 100;

/** Nanoseconds so many milliseconds after the made-up captures began. */
export function at(milliseconds: number): bigint {
  return BigInt(Date.UTC(2026, 0, 2, 3, 4, 5) + milliseconds) * 1_000_000n;
}

export function makeCapture(
  events: readonly EvidenceEvent[],
  rollouts: Record<string, readonly string[]> = {},
): { bundle: string; home: string } {
  const directory = temporaryDirectory();
  const [bundle, home] = [join(directory, 'bundle'), join(directory, 'home')];
  mkdirSync(join(home, 'sessions'), { recursive: true });
  mkdirSync(bundle);
  for (const [name, lines] of Object.entries(rollouts))
    writeFileSync(join(home, 'sessions', name), lines.map((text) => `${text}\n`).join(''));
  writeFileSync(join(bundle, 'capture.json'), JSON.stringify({ codex_homes: [home] }));
  const writer = new EvidenceWriter(bundle);
  for (const event of events) {
    if (isRecorded(event)) writer.append(event);
    else if (event.kind === 'capture-end') writer.end(event);
  }
  writer.close();
  return { bundle, home };
}

function isRecorded(event: EvidenceEvent): event is RecordedEvent {
  const others: readonly (CaptureEndEvent | CheckpointEvent)['kind'][] = ['capture-end', 'checkpoint'];
  return !others.some((kind) => kind === event.kind);
}

interface ExchangeFields {
  pid?: number;
  connection?: number;
  ms?: number;
  method?: string;
  path?: string;
  headers?: readonly string[];
  body?: object;
  /** Server-sent events of the answer, or its text; an empty JSON object when there are none. */
  answer?: readonly { type: string }[] | string;
}

let connections = 0;

/** A request and its response on a connection of their own. */
export function exchange(fields: ExchangeFields): EvidenceEvent[] {
  const { pid = CODEX, ms = 10, method = 'POST', path = '/v1/responses', headers = [], answer } = fields;
  connections += 1;
  const wire = new Wire(fields.connection ?? connections, pid);
  const body = JSON.stringify({ model: 'gpt-5.5', input: [], ...fields.body });
  const head = [
    `${method} ${path} HTTP/1.1`,
    'host: api.test',
    ...headers,
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  const text = typeof answer === 'string' ? answer : answer === undefined ? '{}' : sse(...answer);
  const type = answer === undefined ? 'application/json' : 'text/event-stream';
  const responseHead = `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(text)}`;
  return [
    ...wire.piece('send', `${head.join('\r\n')}\r\n\r\n${body}`, at(ms)),
    ...wire.piece('receive', `${responseHead}\r\n\r\n${text}`, at(ms + 1)),
  ];
}
