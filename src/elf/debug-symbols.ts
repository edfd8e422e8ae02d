// A separate debug file, as `objcopy --only-keep-debug` makes one: the symbols of a stripped program, without its
// code. Says whether it belongs to the program; the symbols themselves are symbol-tier.ts's.

import { AgsightError } from '../errors.js';
import type { AddressMap } from './address-map.js';
import { BinaryFile } from './file.js';
import { type ElfHeaders, readHeaders } from './headers.js';
import { readBuildId } from './notes.js';
import { findBySymbols } from './symbol-tier.js';
import type { Findings } from './tls-function.js';

/** The stripped program. */
interface Program {
  file: BinaryFile;
  headers: ElfHeaders;
  map: AddressMap;
  buildId: string | null;
}

/**
 * The functions of `program` by the symbols in `path`.
 *
 * @throws AgsightError as `readHeaders` does, and `symbols-mismatch` when the file belongs to another program:
 *   the BuildIDs differ, or, where one of the two has none, the segments
 */
export function findByDebugFile(path: string, program: Program): Findings {
  const file = BinaryFile.open(path);
  try {
    const headers = readHeaders(file, 'symbols');
    const difference = differenceOf(program, headers, readBuildId(file, headers));
    if (difference !== undefined) {
      throw new AgsightError('symbols-mismatch', `not the symbols of ${program.file.path}: ${difference}`, {
        file: path,
        remedy: 'get the debug file of the same build',
      });
    }
    return findBySymbols(file, headers, program.map);
  } finally {
    file.close();
  }
}

function differenceOf(program: Program, headers: ElfHeaders, buildId: string | null): string | undefined {
  if (headers.arch !== program.headers.arch) return `made for ${headers.arch}`;
  if (buildId !== null && program.buildId !== null) {
    return buildId === program.buildId ? undefined : `its BuildID is ${buildId}, not ${program.buildId}`;
  }
  return layoutOf(headers) === layoutOf(program.headers) ? undefined : 'its segments are laid out otherwise';
}

/** Which addresses are taken up by what: the same for a program and what was stripped from it. */
function layoutOf({ segments }: ElfHeaders): string {
  return segments
    .filter(({ type }) => type === 'load')
    .map(({ vaddr, memorySize, executable, writable }) => [vaddr, memorySize, executable, writable].join())
    .join(' ');
}
