import { setImmediate as immediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { EvidenceEvent, TlsEvent } from '../../src/evidence/event.js';
import type { Exchange } from '../../src/interpret/exchange.js';
import { Interpreter } from '../../src/interpret/interpreter.js';
import { LiveView } from '../../src/interpret/live-view.js';
import { TraceBundleWriter } from '../../src/trace/bundle-writer.js';
import { evidenceOf, execEvent, exitEvent, Wire, wireRecording } from '../support/wire.js';
import { temporaryDirectory } from './story.js';

/** What identifies an exchange and what came of it on the wire; the outcome may differ, as it depends on what follows. */
const facts = ({ method, host, path, status, call }: Exchange) => ({
  ...{ method, host, path, status },
  ...{ model: call?.model, response: call?.responseId, usage: call?.usage },
});

function byFacts(exchanges: readonly Exchange[]): string[] {
  return exchanges.map((exchange) => JSON.stringify(facts(exchange))).sort();
}

function interpreted(events: readonly EvidenceEvent[]): Exchange[] {
  const directory = temporaryDirectory();
  const interpreter = new Interpreter(
    (id, manifest) => new TraceBundleWriter(`${directory}/${id}`, manifest),
  );
  for (const event of events) interpreter.push(event);
  return interpreter.finish().exchanges;
}

/** As a capture gives them: every TLS event is the same object over the same bytes. */
function* reused(events: readonly EvidenceEvent[]): Generator<EvidenceEvent> {
  const bytes = Buffer.alloc(1 << 16);
  const shared: Partial<TlsEvent> = {};
  for (const event of events) {
    if (event.kind !== 'tls') {
      yield event;
      continue;
    }
    bytes.fill(0);
    bytes.set(event.data);
    delete shared.additionalData;
    yield Object.assign(shared, event, { data: bytes.subarray(0, event.data.length) });
  }
}

test.for(['exec', 'parallel', 'agents', 'http-401', 'plain-ws', 'parallel-rustls', 'stream-kill'])(
  'what is seen live of %s is what its evidence says',
  async (name) => {
    const events = evidenceOf(wireRecording(name));
    const ended: Exchange[] = [];
    const view = new LiveView((exchange) => ended.push(exchange));
    let pushed = 0;
    for (const event of reused(events)) {
      view.push(event);
      pushed += 1;
      if (pushed % 9 === 0) await immediate();
    }
    // A slow machine looks at little in each of its turns.
    for (let turns = 0; turns < 1000; turns += 1) await immediate();
    const told = ended.length;
    view.finish();
    const expected = interpreted(events);
    expect(byFacts(ended)).toEqual(byFacts(expected));
    expect(told).toBe(ended.length);
    expect(view.counts).toMatchObject({
      processes: 0,
      tokens: expected.reduce((sum, { call }) => sum + (call?.usage?.total_tokens ?? 0), 0),
      skippedBytes: 0,
    });
  },
);

test('processes and commands are counted as they start and end', () => {
  const view = new LiveView(() => {});
  view.follow(100);
  view.push(execEvent(1n, { pid: 100 }));
  expect(view.counts).toMatchObject({ processes: 1, commands: 0 });
  view.push(execEvent(2n, { pid: 200 }));
  view.push(execEvent(3n, { pid: 300 }));
  view.push(exitEvent(4n, { pid: 200 }));
  expect(view.counts).toMatchObject({ processes: 2, commands: 2 });
});

test('changed files are counted once each, and what failed or only read is not', () => {
  const view = new LiveView(() => {});
  const file = { path: '/a', pathInferred: false, inode: 1, device: 1, fileType: 'regular' as const };
  const base = { ...execEvent(1n, {}), ...file, endNs: 2n, errno: 0 };
  const written = { kind: 'file-io' as const, bytes: 1, count: 1, durationNs: 1n, offset: 0 };
  view.push({ ...base, ...written, operation: 'write' });
  view.push({ ...base, ...written, operation: 'write' });
  view.push({ ...base, ...written, operation: 'read', path: '/b' });
  view.push({ ...base, kind: 'file-op', operation: 'delete', path: '/c' });
  view.push({ ...base, kind: 'file-op', operation: 'delete', path: '/d', errno: 2 });
  expect(view.counts.files).toBe(2);
});

test('what comes too fast is left out and counted, and what comes later is seen', async () => {
  const ended: Exchange[] = [];
  const view = new LiveView((exchange) => ended.push(exchange));
  const noise = new Wire(1);
  const body = Buffer.alloc(8 << 20);
  const head = `PUT /large HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n`;
  for (const event of noise.piece('send', Buffer.concat([Buffer.from(head), body]), 1n)) view.push(event);
  const { skippedBytes } = view.counts;
  expect(skippedBytes).toBeGreaterThan(4 << 20);
  expect(skippedBytes).toBeLessThan(8 << 20);

  while (ended.length === 0) {
    const wire = new Wire(2);
    await immediate();
    for (const event of wire.piece('send', 'GET /later HTTP/1.1\r\nHost: h\r\n\r\n', 2n)) view.push(event);
    const answer = 'HTTP/1.1 204 No Content\r\n\r\n';
    for (const event of wire.piece('receive', answer, 3n)) view.push(event);
  }
  expect(ended[0]).toMatchObject({ path: '/later', status: 204 });
});

test('exchanges whose end is not seen are told when their process ends, or at the end', () => {
  const ended: string[] = [];
  const view = new LiveView(({ path }) => ended.push(path));
  const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`;
  for (const event of new Wire(1, 100).piece('send', request('/a'), 1n)) view.push(event);
  for (const event of new Wire(2, 200).piece('send', request('/b'), 1n)) view.push(event);
  view.push(exitEvent(2n, { pid: 200 }));
  expect(ended).toEqual([]);
  view.finish();
  expect(ended).toEqual(['/b', '/a']);
});
