// The measure of the whole: what is seen from outside is what Codex says of itself. Every run does a few scenarios;
// `npm run agreement` does all of them over every transport and writes docs/agreement.md.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { requireCodex, requireRoot } from '../support/requirements.js';
import { reasonFor } from './known.js';
import { isKilled, report } from './report.js';
import { type Outcome, runScenario } from './run.js';
import { scenarios, type Transport } from './scenarios.js';

const CODEX_VERSION = '0.169.0';
const TRANSPORTS: readonly Transport[] = [
  'HTTP, OpenSSL',
  'HTTP, rustls',
  'HTTP/2, rustls',
  'WebSocket, rustls',
];
const EVERY_RUN: readonly [string, Transport][] = [
  ['code', 'HTTP, OpenSSL'],
  ['code-two-cells', 'WebSocket, rustls'],
  ['agents', 'HTTP, rustls'],
  ['compact-auto', 'WebSocket, rustls'],
  ['app-server', 'HTTP, OpenSSL'],
  ['resume, one capture', 'HTTP, OpenSSL'],
  ['sigkill-stream', 'HTTP, rustls'],
];

const doesAll = process.env.AGSIGHT_AGREEMENT !== undefined;
const wanted = process.env.AGSIGHT_AGREEMENT_ONLY?.split(',');
const all = TRANSPORTS.flatMap((transport) =>
  scenarios.filter(({ not }) => !not?.includes(transport)).map(({ name }) => [name, transport] as const),
).filter(([name]) => wanted === undefined || wanted.includes(name));

const directory = mkdtempSync(join(tmpdir(), 'agsight-agreement-'));
const outcomes: Outcome[] = [];
let codex: string;

beforeEach(async (context) => {
  requireRoot(context);
  codex = await requireCodex(CODEX_VERSION, context);
}, 300_000);

afterAll(() => {
  if (process.env.AGSIGHT_KEEP === undefined) rmSync(directory, { recursive: true, force: true });
  if (!doesAll || outcomes.length < all.length || wanted !== undefined) return;
  const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
  mkdirSync(docs, { recursive: true });
  writeFileSync(
    join(docs, 'agreement.md'),
    report(outcomes, { command: 'npm run agreement', codexVersion: CODEX_VERSION }),
  );
});

test.each(doesAll ? all : EVERY_RUN)(
  '%s over %s',
  async (name, transport) => {
    const scenario = scenarios.find((one) => one.name === name);
    if (scenario === undefined) throw new Error(`no scenario ${name}`);
    const place = join(directory, `${outcomes.length}-${name.replaceAll(/\W+/g, '-')}`);
    const outcome = await runScenario(scenario, transport, { codex, directory: place });
    outcomes.push(outcome);
    expect(outcome.refused).toEqual([]);
    expect(outcome.comparisons.length).toBeGreaterThan(0);
    const found = outcome.comparisons.flatMap(({ disagreements }) => disagreements);
    const unexplained = found.filter((one) => reasonFor(one, { killed: isKilled(outcome) }) === undefined);
    expect(unexplained).toEqual([]);
  },
  180_000,
);
