// What users run: official binaries, whose rows in the table were confirmed with probes. Two of them, one for each
// architecture; all with `npm run test:offsets`, which fetches some gigabytes once.

import { describe, expect, it, type TestContext } from 'vitest';
import { compareTiers, inspectBinary } from '../../src/elf/binary.js';
import { builtInTable, type OffsetEntry } from '../../src/elf/offset-table.js';
import { recordFunctions, recordLibraryNames } from '../../src/elf/tls-function.js';
import { requireCodex } from '../support/requirements.js';

const always = ['0.169.0 x86_64', '0.110.0 aarch64'];
const rows = builtInTable().entries.filter(
  ({ codex_version, arch }) =>
    process.env.AGSIGHT_TEST_OFFSETS === 'all' || always.includes(`${codex_version} ${arch}`),
);
const fetchMilliseconds = 600_000;

const binaryOf = ({ codex_version, arch }: OffsetEntry, context: TestContext): Promise<string> =>
  requireCodex(codex_version, context, { arch: arch === 'aarch64' ? 'arm64' : 'x64' });

describe.each(rows)('Codex $codex_version for $arch', (row) => {
  const { ssl_write, ssl_read, ssl_do_handshake, write_is_ex, read_is_ex, ...others } = row.offsets ?? {};
  const openssl = { ssl_write, ssl_read, ssl_do_handshake, write_is_ex, read_is_ex };
  const records = recordLibraryNames.flatMap((library) => {
    const keys = recordFunctions(library).map(([key]) => key);
    const offsets = Object.fromEntries(Object.entries(others).filter(([key]) => keys.includes(key)));
    return Object.values(offsets).includes(null) ? [] : [{ library, offsets }];
  });

  it(
    'shows its functions to both methods of the pattern tier, without a table',
    async (context) => {
      const path = await binaryOf(row, context);
      const report = inspectBinary(path, { tier: 'pattern', table: { entries: [], problems: [] } });
      expect(report.codex_version).toBe(row.codex_version);
      expect(report.fingerprint).toEqual(row.fingerprint);
      expect(report.remarks).toEqual([]);
      // Some releases hold an aws-lc without the functions of its record layer.
      expect(report.tls.filter(({ tier }) => tier !== null)).toMatchObject([
        { library: 'openssl', tier: 'pattern', confidence: 'high', offsets: openssl },
        ...records.map((library) => ({ ...library, tier: 'pattern', confidence: 'high' })),
      ]);
      expect(report.tls[0]?.version).toMatch(/^3\.[56]\.\d$/);
    },
    fetchMilliseconds,
  );

  it(
    'is known by its head: table first, nothing searched',
    async (context) => {
      const path = await binaryOf(row, context);
      const report = inspectBinary(path, { order: ['table', 'symbol', 'pattern'] });
      expect(report.codex_version).toBe(row.codex_version);
      expect(report.tls).toMatchObject([
        { library: 'openssl', version: null, tier: 'table', offsets: openssl },
        ...records.map((library) => ({ ...library, tier: 'table' })),
      ]);
    },
    fetchMilliseconds,
  );

  it(
    'has tiers that agree',
    async (context) => {
      const { tiers, disagreements } = compareTiers(await binaryOf(row, context));
      expect(disagreements).toEqual([]);
      expect(tiers.symbol).toEqual([]);
      expect(tiers.pattern).not.toEqual([]);
      expect(tiers.table).not.toEqual([]);
    },
    fetchMilliseconds,
  );
});
