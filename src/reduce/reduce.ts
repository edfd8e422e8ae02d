// Reduces bundles: a trace bundle on disk in, state.json beside it out. The replay itself is replay.ts.

import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AgsightError, systemErrorCode } from '../errors.js';
import { MANIFEST_FILE } from '../trace/bundle-reader.js';
import { Rejection } from '../trace/rejection.js';
import { type Anomaly, type Replay, replayBundle } from './replay.js';
import { prettyJson, stateText, writeWhole } from './state-writer.js';

const STATE_FILE = 'state.json';
const ANOMALIES_FILE = 'anomalies.json';
/** A capture of several root threads holds one bundle per thread in here. */
const ROLLOUTS_DIR = 'rollouts';

export interface ReduceOptions {
  /** Where to write the state; `state.json` in the bundle by default. */
  output?: string | undefined;
  /** Behave like the reference: the first fault ends it, and nothing is written. */
  strict?: boolean | undefined;
}

export interface ReduceResult {
  bundle: string;
  statePath: string;
  /** Nothing was wrong with the bundle. */
  complete: boolean;
  /** The recording came to its end; false while it is being written or when Codex was killed. */
  recordingComplete: boolean;
  anomalies: Anomaly[];
  /** How many objects of each kind the state holds. */
  counts: Record<string, number>;
}

/** A bundle that cannot be reduced at all, or whose first fault ended a strict run. */
export class BundleRejected extends AgsightError {
  /** What the reference prints after `Error: `; it may have several lines. */
  readonly reference: string;

  constructor(dir: string, rejection: Rejection) {
    super(rejection.code, rejection.message.replaceAll('\n', ' '), {
      file: dir,
      remedy: REMEDIES[rejection.code] ?? 'reduce without --strict to keep what is whole',
      cause: rejection,
    });
    this.reference = rejection.reference;
  }
}

const REMEDIES: Readonly<Record<string, string>> = {
  'manifest-unreadable': 'name a bundle directory with a manifest.json',
  'manifest-invalid': 'restore manifest.json; the events in trace.jsonl are not lost',
  'schema-unsupported': 'use the Codex version that recorded the bundle, `codex debug trace-reduce`',
  'log-unreadable': 'restore trace.jsonl from the recording',
  'log-line-too-long': 'check that trace.jsonl is an event log',
};

/**
 * Reduces one bundle and writes the state (mode 0600, whole or not at all) and, when anything was wrong,
 * `anomalies.json` beside it. Throws BundleRejected, and AgsightError when writing fails.
 */
export async function reduceBundle(dir: string, options: ReduceOptions = {}): Promise<ReduceResult> {
  const { state, anomalies } = await replay(dir, options.strict === true);
  const statePath = options.output ?? join(dir, STATE_FILE);
  await writeWhole(statePath, stateText(state));
  const anomaliesPath = join(dirname(statePath), ANOMALIES_FILE);
  const listed = [...(await anomaliesBefore(anomaliesPath)), ...anomalies];
  if (listed.length > 0) await writeWhole(anomaliesPath, [prettyJson(listed)]);
  else await rm(anomaliesPath, { force: true });
  const counts: Record<string, number> = {};
  for (const [name, value] of Object.entries(state)) {
    if (value instanceof Map) counts[name] = value.size;
  }
  return {
    bundle: dir,
    statePath,
    complete: anomalies.length === 0,
    recordingComplete: state.recording_complete ?? state.ended_at_unix_ms !== null,
    anomalies,
    counts,
  };
}

/** What an interpretation has listed there; its entries name their stage, those of a reduction do not. */
async function anomaliesBefore(path: string): Promise<unknown[]> {
  try {
    const listed: unknown = JSON.parse(await readFile(path, 'utf8'));
    return Array.isArray(listed) ? listed.filter((entry) => typeof entry?.stage === 'string') : [];
  } catch {
    return [];
  }
}

/**
 * Reduces a bundle, or each bundle in `rollouts/` of a capture that saw several root threads, in the order of
 * their names. `output` is for a single bundle only.
 */
export async function reduceBundles(dir: string, options: ReduceOptions = {}): Promise<ReduceResult[]> {
  const nested = await nestedBundles(dir);
  if (nested.length === 0) return [await reduceBundle(dir, options)];
  if (options.output !== undefined) {
    throw new AgsightError(
      'several-bundles',
      `holds ${nested.length} bundles, which one output file cannot take`,
      {
        file: dir,
        remedy: 'leave out -o, or name one of the bundles',
      },
    );
  }
  const results: ReduceResult[] = [];
  for (const bundle of nested) results.push(await reduceBundle(bundle, options));
  return results;
}

/** The bundles in `rollouts/` of a capture that saw several root threads, by name; none where the directory is a bundle itself. */
export async function nestedBundles(dir: string): Promise<string[]> {
  if (await exists(join(dir, MANIFEST_FILE))) return [];
  const rollouts = join(dir, ROLLOUTS_DIR);
  const names = await readdir(rollouts).catch((error: unknown) => {
    if (systemErrorCode(error) === undefined) throw error;
    return [];
  });
  const bundles: string[] = [];
  for (const name of names.sort()) {
    const bundle = join(rollouts, name);
    if (await exists(join(bundle, MANIFEST_FILE))) bundles.push(bundle);
  }
  return bundles;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function replay(dir: string, strict: boolean): Promise<Replay> {
  try {
    return await replayBundle(dir, { strict });
  } catch (error) {
    if (error instanceof Rejection) throw new BundleRejected(dir, error);
    throw error;
  }
}
