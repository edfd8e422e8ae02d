// The names of the evidence files inside a bundle: evidence/000001.pb, 000002.pb and so on.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathFault } from '../bundle-path.js';
import { AgsightError, systemErrorCode } from '../errors.js';

const DIGITS = 6;

export function evidenceDirectory(bundleDir: string): string {
  return join(bundleDir, 'evidence');
}

export function segmentName(number: number): string {
  return `${String(number).padStart(DIGITS, '0')}.pb`;
}

/**
 * The numbers of the segments that are there, ascending. Other files are ignored.
 *
 * @throws AgsightError `no-evidence` when the bundle has no segment at all.
 */
export function listSegments(bundleDir: string): number[] {
  const directory = evidenceDirectory(bundleDir);
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === 'ENOENT' || code === 'ENOTDIR') throw noEvidence(bundleDir, cause);
    throw new AgsightError('unreadable', `the directory cannot be read: ${code ?? String(cause)}`, {
      file: directory,
      remedy: 'run as the user who captured, or as root',
      cause,
    });
  }
  const numbers = names
    .map((name) => Number(name.slice(0, -'.pb'.length)))
    .filter((number, index) => Number.isSafeInteger(number) && segmentName(number) === names[index]);
  if (numbers.length === 0) throw noEvidence(bundleDir);
  return numbers.sort((a, b) => a - b);
}

function noEvidence(bundleDir: string, cause?: unknown): AgsightError {
  const fault = pathFault(bundleDir) ?? 'no evidence in this directory (evidence/000001.pb is not there)';
  return new AgsightError('no-evidence', fault, {
    file: bundleDir,
    remedy: 'name a directory that agsight capture wrote',
    cause,
  });
}
