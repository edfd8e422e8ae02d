// The one check against what users run: the official binary, whose row in the table was confirmed with probes.

import { describe, expect, it, type TestContext } from 'vitest';
import { inspectBinary } from '../../src/elf/binary.js';
import { builtInTable } from '../../src/elf/offset-table.js';
import { fetchCodex } from '../support/codex-package.js';

const version = '0.169.0';

async function codexOrSkip(context: TestContext): Promise<string> {
  try {
    return await fetchCodex(version, { arch: 'x64' });
  } catch (error) {
    if (process.env.CI === 'true') throw error;
    return context.skip(`needs Codex ${version}: ${error instanceof Error ? error.message : error}`);
  }
}

describe(`Codex ${version} for x86-64`, () => {
  const row = builtInTable().entries.find(
    ({ codex_version, arch }) => codex_version === version && arch === 'x86_64',
  );

  it('gives its functions to the patterns alone, where the table has them', async (context) => {
    const report = inspectBinary(await codexOrSkip(context), { tier: 'pattern' });
    expect(report.codex_version).toBe(version);
    expect(report.fingerprint).toEqual(row?.fingerprint);
    const { aead_seal, aead_open, ...openssl } = row?.offsets ?? {};
    expect(report.tls).toMatchObject([
      { library: 'openssl', version: '3.6.4', tier: 'pattern', confidence: 'high', offsets: openssl },
      { library: 'aws-lc', tier: 'pattern', confidence: 'high', offsets: { aead_seal, aead_open } },
    ]);
  }, 300_000);

  it('is known by its head: table first, nothing searched', async (context) => {
    const path = await codexOrSkip(context);
    const report = inspectBinary(path, { order: ['table', 'symbol', 'pattern'] });
    expect(report).toMatchObject({
      codex_version: version,
      tls: [
        { library: 'openssl', version: null, tier: 'table', offsets: { ssl_write: row?.offsets?.ssl_write } },
        { library: 'aws-lc', tier: 'table', offsets: { aead_seal: 287697616, aead_open: 287698192 } },
      ],
    });
  }, 300_000);
});
