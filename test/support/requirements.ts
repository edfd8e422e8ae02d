// What a test needs from the host. A missing requirement skips the test with its reason; where CI=true it
// fails instead, so that nothing is skipped unnoticed.

import { join } from 'node:path';
import type { TestContext } from 'vitest';
import { fetchCodex } from './codex-package.js';
import { fetchProgram, programCache } from './npm-program.js';

/** The test goes on only as root on Linux. */
export function requireRoot(context: TestContext): void {
  requireThat(process.platform === 'linux' && process.getuid?.() === 0, 'needs root on Linux', context);
}

/** The official binary of a Codex release; the test goes on only when it is cached or can be fetched. */
export async function requireCodex(
  version: string,
  context: TestContext,
  options?: Parameters<typeof fetchCodex>[1],
): Promise<string> {
  const fetched = await fetchCodex(version, options).catch((error: unknown) => String(error));
  requireThat(fetched.startsWith('/'), `needs Codex ${version}: ${fetched}`, context);
  return fetched;
}

/** Buf, a client of HTTP that is made with Go; the test goes on only when it is cached or can be fetched. */
export async function requireGoProgram(context: TestContext): Promise<string> {
  const platform = `linux-${process.arch === 'arm64' ? 'aarch64' : process.arch}`;
  const fetched = await fetchProgram(`@bufbuild/buf-${platform}@1.75.0`, {
    entry: join(programCache(), 'programs', `buf-1.75.0-${platform}`),
    program: 'buf',
  }).catch((error: unknown) => String(error));
  requireThat(fetched.startsWith('/'), `needs Buf 1.75.0: ${fetched}`, context);
  return fetched;
}

/** The test goes on only where `met`; `reason` says what it needs. */
export function requireThat(met: boolean, reason: string, context: TestContext): void {
  if (met) return;
  if (process.env.CI === 'true') throw new Error(`${reason}, and CI=true allows no skipped test`);
  context.skip(reason);
}
