// `agsight offsets BINARY…`: options and output; the work is elf/binary.ts.

import { Command, Option } from '../commander.js';
import type { BinaryReport, Tier, TlsLibrary } from '../elf/binary.js';

interface OffsetsOptions {
  json?: boolean;
  tier?: Tier;
}

export function offsetsCommand(): Command {
  return new Command('offsets')
    .description('find the TLS plaintext functions of programs and libraries, as file offsets')
    .argument('<binary...>', 'programs or libraries: ELF, x86-64 or AArch64')
    .addOption(
      new Option('--tier <tier>', 'ask one tier only (default: all in this order)').choices([
        'symbol',
        'pattern',
        'table',
      ]),
    )
    .addHelpText('after', '\nExit code 1 when a binary cannot be read or has no known TLS functions.')
    .action(async (paths: string[], _options: unknown, command: Command) => {
      const { json, tier } = command.optsWithGlobals<OffsetsOptions>();
      const { AgsightError, ExitCode } = await import('../errors.js');
      const { inspectBinary } = await import('../elf/binary.js');
      const { printError } = await import('../render/notes.js');
      const reports: BinaryReport[] = [];
      const errors: InstanceType<typeof AgsightError>[] = [];
      for (const path of paths) {
        try {
          const report = inspectBinary(path, { tier });
          reports.push(report);
          if (report.tls.some((library) => library.tier !== null)) continue;
          const what = `no TLS functions found: ${contents(report)}`;
          errors.push(new AgsightError('no-tls-functions', what, { file: path }));
        } catch (error) {
          if (!(error instanceof AgsightError)) throw error;
          errors.push(error);
        }
      }
      if (json === true && reports.length > 0) {
        const objects = reports.map(jsonObject);
        console.log(JSON.stringify(paths.length === 1 ? objects[0] : objects, null, 2));
      } else if (reports.length > 0) {
        const texts: string[] = [];
        for (const report of reports) texts.push(await describe(report));
        console.log(texts.join('\n\n'));
      }
      for (const error of errors) printError(error, json === true);
      if (errors.length > 0) process.exitCode = ExitCode.failed;
    });
}

/** One binary without functions, in one phrase. */
function contents({ arch, tls, remarks }: BinaryReport): string {
  const libraries = tls.map((library) => `${libraryName(library)} is there`);
  return [arch, ...(libraries.length === 0 ? ['no known TLS library'] : libraries), ...remarks].join('; ');
}

function libraryName({ library, version }: TlsLibrary): string {
  return version === null ? library : `${library} ${version}`;
}

function jsonObject({ path, codex_version, arch, fingerprint, tls }: BinaryReport): object {
  return {
    path,
    codex_version,
    arch,
    fingerprint,
    tls: tls.map(({ library, version, tier, offsets }) => ({
      library,
      ...(version === null ? {} : { version }),
      tier,
      offsets,
    })),
  };
}

async function describe(report: BinaryReport): Promise<string> {
  const { symbolName } = await import('../elf/tls-function.js');
  const { renderTable } = await import('../render/table.js');
  const { stripControl } = await import('../render/terminal.js');
  const { path, codex_version, arch, fingerprint, tls, remarks } = report;
  const facts = [
    ['Codex', codex_version ?? 'no, or it does not say'],
    ['Architecture', arch],
    ['Size', `${fingerprint.file_size}`],
    ['Head SHA-256', fingerprint.head_64k_sha256],
    ['BuildID', fingerprint.build_id ?? 'none'],
    ...remarks.map((remark) => ['Remark', remark]),
  ];
  const rows = tls.flatMap((library) => {
    const places =
      library.library === 'openssl'
        ? library.functions.map((found) => [symbolName(found), found.offset] as const)
        : awslcPlaces(library.offsets);
    const name = libraryName(library);
    if (places.length === 0) return [[name, 'none', 'not found', '', '']];
    return places.map(([symbol, offset]) => [
      name,
      library.tier ?? '',
      symbol,
      `${offset}`,
      `0x${offset.toString(16)}`,
    ]);
  });
  return [
    stripControl(path),
    renderTable(['Fact', 'Value'], facts),
    ...(rows.length === 0 ? [] : ['', renderTable(['Library', 'Tier', 'Function', 'File offset', ''], rows)]),
  ].join('\n');
}

function awslcPlaces(offsets: Extract<TlsLibrary, { library: 'aws-lc' }>['offsets']): [string, number][] {
  if (offsets === null) return [];
  return [
    ['EVP_AEAD_CTX_seal', offsets.aead_seal],
    ['EVP_AEAD_CTX_open', offsets.aead_open],
  ];
}
