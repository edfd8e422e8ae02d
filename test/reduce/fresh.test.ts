// Recordings that are made in this very run: the real Codex with its own tracer on, reduced by it and by us. The
// bytes must be the same; a recording that it refuses must be refused with the same words.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { BundleRejected, reduceBundle } from '../../src/reduce/reduce.js';
import { playScenario } from '../agreement/run.js';
import { scenarios, type Transport } from '../agreement/scenarios.js';
import { requireCodex } from '../support/requirements.js';

const directory = mkdtempSync(join(tmpdir(), 'agsight-fresh-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const http: Transport = 'HTTP, OpenSSL';
const webSocket: Transport = 'WebSocket, rustls';
const recordings: Readonly<Record<string, readonly (readonly [string, Transport])[]>> = {
  // Schema 2.
  '0.169.0': [
    ['exec', webSocket],
    ['parallel', http],
    ['apply-patch', http],
    ['reasoning', webSocket],
    ['stdin', http],
    ['tool-errors', http],
    ['stream-cut', http],
    ['response-failed', http],
    ['images', http],
    ['mcp', http],
    ['code', http],
    ['code-yield', webSocket],
    ['agents', http],
    ['compact-auto', webSocket],
    ['resume', http],
    ['review', http],
  ],
  // Schema 1.
  '0.142.0': [
    ['parallel', webSocket],
    ['stdin', http],
    ['tool-errors', http],
    ['stream-cut', http],
    ['agents', http],
    ['compact-auto', webSocket],
  ],
};
const all = process.env.AGSIGHT_TEST_RECORDINGS === 'all';
const transports = [http, webSocket] as const;
const everything = transports.flatMap((transport) =>
  scenarios.filter(({ not }) => !not?.includes(transport)).map(({ name }) => [name, transport] as const),
);
const versions = process.env.AGSIGHT_TEST_VERSIONS?.split(',') ?? Object.keys(recordings);

interface Answer {
  state: string | null;
  error: string | null;
}

function reference(codex: string, bundle: string): Answer {
  const home = join(directory, 'reference');
  const temporary = join(directory, 'reference-tmp');
  for (const path of [home, temporary]) mkdirSync(path, { recursive: true });
  const output = join(home, 'state.json');
  rmSync(output, { force: true });
  try {
    const env = { HOME: home, CODEX_HOME: home, TMPDIR: temporary };
    execFileSync(codex, ['debug', 'trace-reduce', bundle, '-o', output], { env, stdio: 'pipe' });
    return { state: readFileSync(output, 'utf8'), error: null };
  } catch (error) {
    const said = String(error instanceof Error && 'stderr' in error ? error.stderr : error);
    return { state: null, error: /^Error: ([\s\S]*)/m.exec(said)?.[1]?.trim() ?? said };
  }
}

async function own(bundle: string): Promise<Answer> {
  const output = join(bundle, 'reduced.json');
  try {
    await reduceBundle(bundle, { output, strict: true });
    return { state: readFileSync(output, 'utf8'), error: null };
  } catch (error) {
    if (!(error instanceof BundleRejected)) throw error;
    expect(existsSync(output)).toBe(false);
    return { state: null, error: error.reference };
  }
}

describe.for(versions)('Codex %s', (version) => {
  const chosen = recordings[version];
  test.concurrent.for(all || chosen === undefined ? everything : chosen)(
    '%s over %s',
    { timeout: 300_000 },
    async ([name, transport], context) => {
      const codex = await requireCodex(version, context);
      const scenario = scenarios.find((one) => one.name === name);
      if (scenario === undefined) throw new Error(`no scenario ${name}`);
      const place = join(directory, version, `${name}-${transport}`.replaceAll(/\W+/g, '-'));
      const { traceRoot } = await playScenario(
        scenario,
        transport,
        { codex, directory: place },
        (command) => command,
      );
      const bundles = readdirSync(traceRoot).map((bundle) => join(traceRoot, bundle));
      context.expect(bundles.length).toBeGreaterThan(0);
      for (const bundle of bundles) {
        const { schema_version } = JSON.parse(readFileSync(join(bundle, 'manifest.json'), 'utf8'));
        const reducer = await requireCodex(schema_version === 1 ? '0.142.0' : '0.169.0', context);
        context.expect(await own(bundle)).toEqual(reference(reducer, bundle));
      }
    },
  );
});
