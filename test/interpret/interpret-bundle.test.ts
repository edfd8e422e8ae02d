import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { EvidenceWriter } from '../../src/evidence/writer.js';
import { interpretBundle } from '../../src/interpret/interpret-bundle.js';
import { isUninterpreted } from '../../src/reduce/find-bundles.js';
import { reduceBundle } from '../../src/reduce/reduce.js';
import { captureStart, evidenceOf, Wire, wireRecording } from '../support/wire.js';
import {
  answer,
  completed,
  done,
  readBack,
  request,
  response,
  snapshot,
  temporaryDirectory,
  userMessage,
} from './story.js';

/** A bundle directory with the evidence of these events. */
function bundleOf(events: ReturnType<typeof evidenceOf>): string {
  const directory = temporaryDirectory();
  const writer = new EvidenceWriter(directory);
  for (const event of events) {
    if (event.kind === 'capture-end') writer.end(event);
    else if (event.kind !== 'checkpoint') writer.append(event);
  }
  writer.close();
  return directory;
}

test('one root thread: the trace stands beside the evidence, closed to others', async () => {
  const bundle = bundleOf(evidenceOf(wireRecording('exec')));
  const { bundles, exchanges, anomalies, evidenceAnomalies } = await interpretBundle(bundle);
  expect(bundles).toEqual([bundle]);
  expect(readdirSync(bundle).sort()).toEqual(['evidence', 'manifest.json', 'payloads', 'trace.jsonl']);
  expect(statSync(join(bundle, 'payloads')).mode & 0o777).toBe(0o700);
  for (const [file, content] of Object.entries(snapshot(bundle)))
    expect(`${file} ${content}`).toMatch(/^\S+ 600 /);
  expect(exchanges).toHaveLength(2);
  expect([anomalies, evidenceAnomalies]).toEqual([[], []]);
});

test('several root threads: each has a bundle of its own below rollouts', async () => {
  const recording = wireRecording('fork');
  const bundle = bundleOf(evidenceOf(recording));
  const { bundles, rootThreadIds } = await interpretBundle(bundle);
  expect(rootThreadIds).toEqual(recording.reference.flatMap(({ threads }) => Object.keys(threads)));
  expect(bundles).toEqual(rootThreadIds.map((id) => join(bundle, 'rollouts', id)));
  expect(readdirSync(bundle).sort()).toEqual(['evidence', 'rollouts']);
  for (const [index, dir] of bundles.entries()) {
    expect(readBack(dir).manifest.root_thread_id).toBe(rootThreadIds[index]);
  }
});

test('evidence alone is known from evidence that was interpreted', async () => {
  const bundle = bundleOf(evidenceOf(wireRecording('exec')));
  expect(await isUninterpreted(bundle)).toBe(true);
  await interpretBundle(bundle);
  expect(await isUninterpreted(bundle)).toBe(false);
});

test('a second interpretation takes the place of the first and gives the same bytes', async () => {
  const bundle = bundleOf(evidenceOf(wireRecording('exec')));
  await interpretBundle(bundle);
  const first = snapshot(bundle);
  writeFileSync(join(bundle, 'payloads', '99.json'), '{}');
  mkdirSync(join(bundle, 'rollouts', 'old'), { recursive: true });
  writeFileSync(join(bundle, 'rollouts', 'old', 'manifest.json'), '{}');
  await interpretBundle(bundle);
  expect(snapshot(bundle)).toEqual(first);
});

test('a rollouts directory with something else in it is left alone', async () => {
  const bundle = bundleOf(evidenceOf(wireRecording('exec')));
  mkdirSync(join(bundle, 'rollouts', 'mine'), { recursive: true });
  await expect(interpretBundle(bundle)).rejects.toMatchObject({ code: 'not-ours' });
  expect(readdirSync(bundle).sort()).toEqual(['evidence', 'rollouts']);
});

test('evidence that breaks off is told as far as it goes', async () => {
  const events = evidenceOf(wireRecording('exec')).filter(({ kind }) => kind !== 'capture-end');
  const bundle = bundleOf(events);
  const { evidenceAnomalies } = await interpretBundle(bundle);
  expect(evidenceAnomalies.map(({ kind }) => kind)).toEqual(['no-end']);
  expect(readBack(bundle).all('inference_completed')).toHaveLength(2);
  expect(readBack(bundle).all('recording_completed')).toEqual([]);
});

test('what is wrong stands in anomalies.json, before and after the bundle is reduced', async () => {
  const whole = evidenceOf(wireRecording('exec'));
  const bundle = bundleOf(whole.filter(({ kind }) => kind !== 'capture-end'));
  const listed = () => JSON.parse(readFileSync(join(bundle, 'anomalies.json'), 'utf8'));
  await interpretBundle(bundle);
  expect(listed()).toMatchObject([{ stage: 'evidence', kind: 'no-end' }]);
  expect(statSync(join(bundle, 'anomalies.json')).mode & 0o777).toBe(0o600);

  await reduceBundle(bundle);
  expect(listed()).toMatchObject([{ stage: 'evidence', kind: 'no-end' }]);
  appendFileSync(join(bundle, 'trace.jsonl'), 'no event\n');
  await reduceBundle(bundle);
  expect(listed()).toMatchObject([{ stage: 'evidence', kind: 'no-end' }, { line: expect.any(Number) }]);
  await reduceBundle(bundle);
  expect(listed()).toHaveLength(2);
});

test('a thread id from the wire never becomes a path', async () => {
  const wires = [new Wire(1), new Wire(2)];
  const bundle = bundleOf([
    captureStart(1n),
    ...wires.flatMap((wire, index) =>
      wire.piece('send', request({ threadId: '../'.repeat(index + 1), turnId: `t${index}` }), 2n),
    ),
  ]);
  const { bundles } = await interpretBundle(bundle);
  expect(bundles.map((dir) => dir.slice(bundle.length))).toEqual([
    '/rollouts/thread-2e2e2f',
    '/rollouts/thread-2e2e2f2e2e2f',
  ]);
});

test('nothing that is written holds a secret, planted in whatever place', async () => {
  const key = `sk-${'a1B2'.repeat(6)}`;
  const text = `use ${key} please`;
  const wire = new Wire();
  const headers = [`cookie: id=${key}`, `x-api-key: ${key}`, `chatgpt-account-id: ${key}`];
  const call = {
    type: 'function_call',
    id: 'fc',
    call_id: 'c',
    name: 'exec_command',
    arguments: JSON.stringify({ cmd: text }),
  };
  const bundle = bundleOf([
    captureStart(1n),
    ...wire.piece('send', request({ input: [userMessage(text)], headers, body: { metadata: { key } } }), 2n),
    ...wire.piece('receive', response(done(call), done(answer(text)), completed()), 3n),
    ...new Wire(2).piece('send', request({ inferenceCallId: 'call-2' }), 4n),
    ...new Wire(2).piece('receive', `HTTP/1.1 401 No\r\ncontent-length: ${text.length}\r\n\r\n${text}`, 5n),
  ]);
  const result = await interpretBundle(bundle);
  const written = Object.entries(snapshot(bundle)).filter(([file]) => !file.startsWith('evidence'));
  expect(written.length).toBeGreaterThan(5);
  for (const [file, content] of written) {
    expect(`${file}: ${content}`).not.toContain(key);
    expect(`${file}: ${content}`).not.toContain('mock-key');
  }
  expect(written.map(([, content]) => content).join('')).toMatch(/use \[redacted:[0-9a-f]{12}\] please/);
  expect(result.redactions).toBeGreaterThan(4);
});

test('the same evidence gives the same bytes, wherever and in whatever language', async () => {
  const agsight = fileURLToPath(new URL('../../bin/agsight.js', import.meta.url));
  const events = evidenceOf(wireRecording('agents-fail-rustls', 'agreement'));
  const written = [
    { TZ: 'Pacific/Auckland', LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8', cwd: '/' },
    { TZ: 'America/New_York', LANG: 'C', LC_ALL: 'C', cwd: temporaryDirectory() },
  ].map(({ cwd, ...env }) => {
    const bundle = bundleOf(events);
    execFileSync(process.execPath, [agsight, 'reduce', bundle], { cwd, env: { ...process.env, ...env } });
    const files = snapshot(bundle);
    return Object.fromEntries(Object.entries(files).filter(([name]) => !name.startsWith('evidence')));
  });
  expect(Object.keys(written[0] ?? {})).toContain('state.json');
  expect(written[0]).toEqual(written[1]);
});
