// What a test needs from the host. A missing requirement skips the test with its reason; where CI=true it
// fails instead, so that nothing is skipped unnoticed.
import type { TestContext } from 'vitest';

/** The test goes on only as root on Linux. */
export function requireRoot(context: TestContext): void {
  requireThat(process.platform === 'linux' && process.getuid?.() === 0, 'needs root on Linux', context);
}

/** The test goes on only where `met`; `reason` says what it needs. */
export function requireThat(met: boolean, reason: string, context: TestContext): void {
  if (met) return;
  if (process.env.CI === 'true') throw new Error(`${reason}, and CI=true allows no skipped test`);
  context.skip(reason);
}
