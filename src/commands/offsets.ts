// `agsight offsets BINARY…`: options and output; the work is elf/program.ts.

import { Command, Option } from '../commander.js';
import type { BinaryIdentity, InspectOptions, TierComparison } from '../elf/binary.js';
import type { ProgramReport } from '../elf/program.js';
import type { Tier } from '../elf/tls-function.js';
import type { TlsLibrary } from '../elf/tls-library.js';
import type { AgsightError } from '../errors.js';

interface OffsetsOptions {
  json?: boolean;
  tier?: Tier;
  allTiers?: boolean;
  symbols?: string;
  table?: string;
  entry?: boolean;
}

export function offsetsCommand(): Command {
  return new Command('offsets')
    .description('find the TLS plaintext functions of programs and libraries, as file offsets')
    .argument(
      '<binary...>',
      'programs, libraries or the npm script codex, by path or by the name of a command: ELF, x86-64 or AArch64',
    )
    .addOption(
      new Option('--tier <tier>', 'ask one tier only (default: all in this order)').choices([
        'symbol',
        'pattern',
        'table',
      ]),
    )
    .addOption(
      new Option('--all-tiers', 'show what each tier finds; exit code 1 when they disagree').conflicts(
        'tier',
      ),
    )
    .option('--symbols <file>', 'take symbols from the separate debug file of a stripped binary')
    .option('--table <file>', 'ask this offset table before the others')
    .addOption(new Option('--entry', 'print a row for an offset table, ready to paste').conflicts('allTiers'))
    .addHelpText(
      'after',
      '\nExit code 1 when a binary cannot be read or has no known TLS functions.' +
        '\nRows of your own: agsight/offsets.json under $XDG_CONFIG_HOME (default ~/.config).',
    )
    .action(async (paths: string[], _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<OffsetsOptions>();
      if (options.symbols !== undefined && paths.length > 1) {
        command.error('error: --symbols goes with one binary');
      }
      await run(paths, options);
    });
}

async function run(
  names: string[],
  { json, tier, allTiers, symbols, table, entry }: OffsetsOptions,
): Promise<void> {
  const { AgsightError, ExitCode } = await import('../errors.js');
  const { findProgram } = await import('../capture/command.js');
  const { compareProgramTiers, inspectProgram } = await import('../elf/program.js');
  const { knownTable } = await import('../elf/offset-table.js');
  const { printError } = await import('../render/notes.js');
  const options: InspectOptions = { tier, symbols, table: knownTable(table) };
  const objects: object[] = [];
  const texts: string[] = [];
  const errors: AgsightError[] = [];
  const fail = (code: string, what: string, file: string) =>
    errors.push(new AgsightError(code, what, { file }));

  for (const name of names) {
    try {
      const path = findProgram(name);
      if (allTiers === true) {
        const comparison = compareProgramTiers(path, options);
        objects.push(await comparisonObject(comparison));
        texts.push(await describeComparison(comparison));
        for (const what of comparison.disagreements) fail('tiers-disagree', what, name);
        continue;
      }
      const report = inspectProgram(path, options);
      if (entry === true) {
        const row = await entryOf(report, tier);
        if (row !== undefined) objects.push(row);
        else fail('no-tls-functions', `no row can be made of it: ${contents(report)}`, name);
        continue;
      }
      objects.push(await reportObject(report));
      texts.push(await describe(report));
      if ([report, ...report.linked].every(({ tls }) => tls.every((library) => library.tier === null))) {
        fail('no-tls-functions', `no TLS functions found: ${contents(report)}`, name);
      }
    } catch (error) {
      if (!(error instanceof AgsightError)) throw error;
      errors.push(error);
    }
  }

  const isJson = json === true || entry === true;
  if (isJson && objects.length > 0) {
    console.log(JSON.stringify(names.length === 1 ? objects[0] : objects, null, 2));
  } else if (texts.length > 0) {
    console.log(texts.join('\n\n'));
  }
  for (const error of errors) printError(error, json === true);
  if (errors.length > 0) process.exitCode = ExitCode.failed;
}

/** One binary without functions, in one phrase. */
function contents({ arch, tls, linked, unseen, remarks }: ProgramReport): string {
  const names = new Set([...tls, ...unseen].map(libraryName));
  const elsewhere = linked.flatMap(({ path, tls: theirs }) =>
    theirs
      .filter(({ tier }) => tier !== null)
      .map((library) => `${libraryName(library)} is in ${path}, which it loads`),
  );
  const libraries = [...[...names].map((name) => `${name} is there`), ...elsewhere];
  return [arch, ...(libraries.length === 0 ? ['no known TLS library'] : libraries), ...remarks].join('; ');
}

function libraryName({ library, version }: { library: string; version: string | null }): string {
  return version === null ? library : `${library} ${version}`;
}

/** `tier`: the only one that was asked; one alone cannot tell that a library is not there. */
async function entryOf(
  { codex_version, arch, fingerprint, tls }: ProgramReport,
  tier: Tier | undefined,
): Promise<object | undefined> {
  const { makeEntry } = await import('../elf/offset-table.js');
  const { eachRecordLibrary } = await import('../elf/tls-function.js');
  const openssl = tls.find((library) => library.library === 'openssl');
  const unknown = tier === undefined ? null : undefined;
  const records = eachRecordLibrary((name) => {
    for (const { library, offsets } of tls) if (library === name) return offsets ?? unknown;
    return unknown;
  });
  return makeEntry(codex_version, arch, fingerprint, openssl?.offsets ?? null, records);
}

function identityObject({ path, codex_version, arch, fingerprint }: BinaryIdentity): object {
  return { path, codex_version, arch, fingerprint };
}

/** `offsets` keeps AgentSight's names, of one function each; `functions` has all that a capture probes. */
function libraryObject(
  found: TlsLibrary,
  functionsOf: typeof import('../elf/tls-library.js').functionsOf,
): object {
  const { library, version, tier, confidence, offsets } = found;
  const functions = functionsOf(found).map(({ confidence: _, ...place }) => place);
  return {
    library,
    ...(version === null ? {} : { version }),
    tier,
    ...(confidence === null ? {} : { confidence }),
    offsets,
    ...(functions.length === 0 ? {} : { functions }),
  };
}

async function reportObject(report: ProgramReport): Promise<object> {
  const { functionsOf } = await import('../elf/tls-library.js');
  const { launcher, linked, tls, unseen, remarks } = report;
  const linkedObjects = linked.flatMap(({ path, tls: theirs }) =>
    theirs.map((library) => ({ ...libraryObject(library, functionsOf), path })),
  );
  return {
    ...identityObject(report),
    ...(launcher === null ? {} : { launcher }),
    tls: [...tls.map((library) => libraryObject(library, functionsOf)), ...linkedObjects],
    ...(unseen.length === 0 ? {} : { unseen: unseen.map(unseenObject) }),
    ...(remarks.length === 0 ? {} : { remarks }),
  };
}

function unseenObject({ library, version, reason, remedy }: ProgramReport['unseen'][number]): object {
  return { library, ...(version === null ? {} : { version }), reason, remedy };
}

async function comparisonObject(comparison: TierComparison): Promise<object> {
  const { functionsOf } = await import('../elf/tls-library.js');
  const { tiers, disagreements, remarks } = comparison;
  return {
    ...identityObject(comparison),
    tiers: Object.fromEntries(
      Object.entries(tiers).map(([tier, tls]) => [
        tier,
        tls.map((library) => libraryObject(library, functionsOf)),
      ]),
    ),
    disagreements,
    ...(remarks.length === 0 ? {} : { remarks }),
  };
}

const head = ['Library', 'Tier', 'Confidence', 'Function', 'File offset', ''];

async function describe(report: ProgramReport): Promise<string> {
  const { launcher, linked, tls, unseen } = report;
  const rows = [
    ...(await functionRows(tls)),
    ...(await Promise.all(linked.map(async (library) => functionRows(library.tls, library.path)))).flat(),
  ];
  const notSeen = unseen.map(({ library, version, reason, remedy }) => [
    'Not seen',
    `${libraryName({ library, version })}: ${reason} (${remedy})`,
  ]);
  return describeRows(report, rows, [...(launcher === null ? [] : [['Launcher', launcher]]), ...notSeen]);
}

async function describeComparison(comparison: TierComparison): Promise<string> {
  const rows: string[][] = [];
  for (const [tier, tls] of Object.entries(comparison.tiers)) {
    rows.push(...(tls.length === 0 ? [['', tier, '', 'none found', '', '']] : await functionRows(tls)));
  }
  return describeRows(comparison, rows, []);
}

async function describeRows(identity: BinaryIdentity, rows: string[][], more: string[][]): Promise<string> {
  const { renderTable } = await import('../render/table.js');
  const { stripControl } = await import('../render/terminal.js');
  const { path, codex_version, arch, fingerprint, remarks } = identity;
  const facts = [
    ...more,
    ['Codex', codex_version ?? 'no, or it does not say'],
    ['Architecture', arch],
    ['Size', `${fingerprint.file_size}`],
    ['Head SHA-256', fingerprint.head_64k_sha256],
    ['BuildID', fingerprint.build_id ?? 'none'],
    ...remarks.map((remark) => ['Remark', remark]),
  ];
  return [
    stripControl(path),
    renderTable(['Fact', 'Value'], facts),
    ...(rows.length === 0 ? [] : ['', renderTable(head, rows)]),
  ].join('\n');
}

/** One row for each function. `file`: where the offsets are, when that is not the binary itself. */
async function functionRows(tls: readonly TlsLibrary[], file?: string): Promise<string[][]> {
  const { functionsOf } = await import('../elf/tls-library.js');
  return tls.flatMap((library) => {
    const name = file === undefined ? libraryName(library) : `${libraryName(library)}, ${file}`;
    const functions = functionsOf(library);
    if (functions.length === 0) return [[name, 'none', '', 'not found', '', '']];
    return functions.map(({ symbol, offset, confidence }) => [
      name,
      library.tier ?? '',
      confidence,
      symbol,
      `${offset}`,
      `0x${offset.toString(16)}`,
    ]);
  });
}
