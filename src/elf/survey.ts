// The one pass over a program's mapped bytes, that every answer by content shares: library and Codex versions
// from the read-only data, function patterns from the code.

import type { AddressMap } from './address-map.js';
import { readFunctionStarts } from './eh-frame.js';
import type { BinaryFile } from './file.js';
import type { ElfHeaders } from './headers.js';
import { anchorNeedles, findByPatterns, type PatternResult, patternNeedles } from './pattern-tier.js';
import { search } from './search.js';
import { readVersions, type Versions, versionNeedles } from './versions.js';

/** The largest Codex maps 0.3 GiB; debug information is not mapped. */
const maxMappedBytes = 1024 * 1024 * 1024;

export interface Survey {
  versions: Versions;
  patterns: PatternResult;
}

/**
 * Searches what the program maps, code for patterns and read-only data for strings.
 *
 * @param windowBytes how much is searched at a time
 */
export function surveyProgram(
  file: BinaryFile,
  headers: ElfHeaders,
  map: AddressMap,
  windowBytes?: number,
): Survey {
  const segments = headers.segments.filter(({ type, writable, executable }) => {
    return type === 'load' && (executable || !writable);
  });
  const mappedBytes = segments.reduce((sum, { fileSize }) => sum + fileSize, 0);
  if (mappedBytes > maxMappedBytes) {
    const reason = `${mappedBytes} mapped bytes, more than the ${maxMappedBytes} that are searched`;
    return { versions: { codex: null, openssl: null, hasAwslc: false }, patterns: { functions: [], reason } };
  }
  const codeNeedles = headers.arch === 'x86_64' ? patternNeedles : [];
  const textNeedles = [...anchorNeedles, ...versionNeedles];
  const hasOwnText = segments.some(({ executable }) => !executable);
  const ranges = segments.map(({ offset, fileSize, executable }) => {
    const holdsText = !executable || !hasOwnText;
    return {
      offset,
      length: fileSize,
      needles: [...(executable ? codeNeedles : []), ...(holdsText ? textNeedles : [])],
    };
  });
  const places = search(file, ranges, windowBytes);
  const placesOf = (needles: readonly Buffer[]) => needles.map((needle) => places.get(needle) ?? []);
  return {
    versions: readVersions(file, placesOf(versionNeedles)),
    patterns:
      headers.arch === 'x86_64'
        ? findByPatterns({
            file,
            map,
            starts: readFunctionStarts(file, headers),
            needlePlaces: placesOf(patternNeedles),
            anchorPlaces: placesOf(anchorNeedles),
          })
        : { functions: [], reason: `no byte patterns for ${headers.arch}` },
  };
}
