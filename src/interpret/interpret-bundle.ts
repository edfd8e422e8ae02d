// Interprets the evidence of a bundle directory and puts the trace bundles into it: one root thread's at the
// top, several ones' below rollouts/. Owns the files that an interpretation writes, and replaces older ones.

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgsightError } from '../errors.js';
import type { EvidenceAnomaly } from '../evidence/reader.js';
import { TraceBundleWriter } from '../trace/bundle-writer.js';
import { readAgentEvidence } from './agent-evidence.js';
import { Interpreter, type InterpretResult } from './interpreter.js';

const ROLLOUTS = 'rollouts';
const ANOMALIES = 'anomalies.json';
const OUTPUT = ['manifest.json', 'trace.jsonl', 'payloads'] as const;

export interface BundleInterpretation extends InterpretResult {
  /** Directories of the trace bundles, in the order of `rootThreadIds`. */
  bundles: string[];
  /** What was wrong with the evidence itself. */
  evidenceAnomalies: EvidenceAnomaly[];
}

/**
 * Reads `bundleDir/evidence` and writes manifest.json, trace.jsonl, payloads/ and anomalies.json beside it; when the capture
 * saw several root threads, each into `rollouts/<root thread id>/`. What an earlier interpretation wrote is
 * removed first. The same evidence gives the same bytes; with `keepsSecrets` others, which hold the secrets.
 *
 * @throws AgsightError `no-evidence`, `bundle-write-failed`, `not-ours`
 */
export async function interpretBundle(
  bundleDir: string,
  options: { keepsSecrets?: boolean } = {},
): Promise<BundleInterpretation> {
  removeOutput(bundleDir);
  const evidenceAnomalies: EvidenceAnomaly[] = [];
  const interpreter = new Interpreter((rootThreadId, manifest) => {
    const dir = join(bundleDir, ROLLOUTS, directoryName(rootThreadId));
    mkdirSync(join(bundleDir, ROLLOUTS), { recursive: true, mode: 0o700 });
    return new TraceBundleWriter(dir, manifest);
  }, options);
  for await (const event of readAgentEvidence(bundleDir, {
    onAnomaly: (found) => evidenceAnomalies.push(found),
  })) {
    interpreter.push(event);
  }
  const result = interpreter.finish();
  writeAnomalies(bundleDir, [
    ...evidenceAnomalies.map((anomaly) => ({ stage: 'evidence', ...anomaly })),
    ...result.anomalies.map((anomaly) => ({ stage: 'interpret', ...anomaly })),
  ]);
  return { ...result, bundles: place(bundleDir, result.rootThreadIds), evidenceAnomalies };
}

/** Absent when there are none. A reduction adds what it finds to the same file. */
function writeAnomalies(bundleDir: string, anomalies: readonly object[]): void {
  if (anomalies.length === 0) return;
  writeFileSync(join(bundleDir, ANOMALIES), `${JSON.stringify(anomalies, null, 2)}\n`, { mode: 0o600 });
}

function place(bundleDir: string, rootThreadIds: readonly string[]): string[] {
  const dirs = rootThreadIds.map((id) => join(bundleDir, ROLLOUTS, directoryName(id)));
  const [only, ...others] = dirs;
  if (only === undefined || others.length > 0) return dirs;
  for (const name of OUTPUT) renameSync(join(only, name), join(bundleDir, name));
  rmSync(join(bundleDir, ROLLOUTS), { recursive: true });
  return [bundleDir];
}

/** Thread ids come from the wire: anything but a plain name must not become a path. */
function directoryName(threadId: string): string {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(threadId)
    ? threadId
    : `thread-${Buffer.from(threadId).toString('hex').slice(0, 120)}`;
}

/** Whether there is evidence to interpret. */
export function hasEvidence(bundleDir: string): boolean {
  return existsSync(join(bundleDir, 'evidence'));
}

function removeOutput(bundleDir: string): void {
  const rollouts = join(bundleDir, ROLLOUTS);
  if (existsSync(rollouts)) {
    for (const name of readdirSync(rollouts)) {
      if (existsSync(join(rollouts, name, 'manifest.json'))) continue;
      throw new AgsightError('not-ours', 'holds something other than trace bundles', {
        file: join(rollouts, name),
        remedy: 'move it away',
      });
    }
  }
  for (const name of [...OUTPUT, ROLLOUTS, ANOMALIES]) {
    rmSync(join(bundleDir, name), { recursive: true, force: true });
  }
}
