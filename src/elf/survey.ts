// The one pass over a program's mapped bytes, that every answer by content shares: library and Codex versions and
// anchor texts from the read-only data, then the functions from the code.

import { aarch64Code } from './aarch64-code.js';
import type { AddressMap } from './address-map.js';
import { boringsslNeedle, findBoringssl } from './boringssl.js';
import { scanCode } from './code-scan.js';
import { type FunctionTable, readFunctionTable } from './eh-frame.js';
import type { BinaryFile } from './file.js';
import { isGo } from './go-functions.js';
import type { ElfHeaders, Segment } from './headers.js';
import { chooseFunctions } from './pattern-tier.js';
import { findRing } from './ring.js';
import { search } from './search.js';
import { anchorNeedles, findByAnchors, locateAnchors } from './string-anchors.js';
import { eachRecordLibrary, type Findings } from './tls-function.js';
import { noVersions, readVersions, type Versions, versionNeedles } from './versions.js';
import { x8664Code } from './x86-64-code.js';

/** The largest Codex has 245 MiB of code, Copilot 145 MiB of read-only data; debug information is not mapped. */
const maxCodeBytes = 384 * 1024 * 1024;
const maxTextBytes = 256 * 1024 * 1024;

export interface Survey {
  versions: Versions;
  patterns: Findings;
}

interface Range {
  offset: number;
  length: number;
}

/**
 * Searches what the program maps, read-only data for strings and code for functions.
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
  const functions = readFunctionTable(file, headers, map);
  const nothing = (...reasons: string[]): Findings => ({
    functions: [],
    records: eachRecordLibrary(() => null),
    reasons,
    doubts: [],
  });
  const { code, text } = divide(segments, functions);
  for (const [what, ranges, limit] of [
    ['code', code, maxCodeBytes],
    ['read-only data', text, maxTextBytes],
  ] as const) {
    const bytes = ranges.reduce((sum, { length }) => sum + length, 0);
    if (bytes <= limit) continue;
    return {
      versions: noVersions,
      patterns: nothing(`${bytes} bytes of ${what}, more than the ${limit} that are searched`),
    };
  }
  const needles = [...anchorNeedles, ...versionNeedles, boringsslNeedle];
  const places = search(
    file,
    text.map((range) => ({ ...range, needles })),
    windowBytes,
  );
  const placesOf = (wanted: readonly Buffer[]) => wanted.map((needle) => places.get(needle) ?? []);
  const versions = readVersions(file, placesOf(versionNeedles));
  const machine = headers.arch === 'x86_64' ? x8664Code(headers.isFixed) : aarch64Code;
  const texts = locateAnchors(file, map, placesOf(anchorNeedles));
  const [boringssl = []] = placesOf([boringsslNeedle]);
  // The texts of OpenSSL's error reports tell more, where they are.
  if (boringssl.length > 0 && texts?.byAnchor.has('opensslFile') !== true) {
    // Perhaps without frames, and so outside of what frames call code.
    const ranges = segments
      .filter(({ executable }) => executable)
      .map(({ offset, fileSize }) => ({ offset, length: fileSize }));
    const input = { file, map, machine, ranges, places: boringssl, windowBytes };
    const none = { ...nothing(), doubts: ['no byte patterns of BoringSSL for aarch64'] };
    return {
      versions: { ...versions, openssl: versions.openssl ?? 'BoringSSL' },
      patterns: headers.arch === 'x86_64' ? findBoringssl(input) : none,
    };
  }
  if (functions === undefined) {
    const reason = 'no .eh_frame to tell where functions start';
    return { versions, patterns: isGo(headers) ? nothing() : nothing(reason) };
  }
  const scan = scanCode({
    file,
    map,
    arch: headers.arch,
    machine,
    functions,
    ranges: code,
    texts: texts?.all,
    windowBytes,
  });
  const anchored =
    texts === undefined
      ? { places: new Map(), reasons: [] }
      : findByAnchors({ file, map, functions, machine, texts, users: scan.users });
  if (!versions.hasRing) return { versions, patterns: chooseFunctions(scan, anchored, map) };
  const ring = findRing({ file, headers, map, functions, version: versions.ring });
  const found = {
    places: new Map([...anchored.places, ...ring.places]),
    reasons: [...anchored.reasons, ...ring.reasons],
  };
  return { versions, patterns: chooseFunctions(scan, found, map) };
}

/**
 * File ranges of code and of read-only data. Some linkers put both into one segment: there, code is what lies
 * between the first function and the last one, or it may be anything where functions are unknown.
 */
function divide(
  segments: readonly Segment[],
  functions: FunctionTable | undefined,
): { code: Range[]; text: Range[] } {
  const code: Range[] = [];
  const text: Range[] = [];
  const add = (ranges: Range[], { offset, vaddr }: Segment, first: number, end: number) => {
    if (end > first) ranges.push({ offset: offset + first - vaddr, length: end - first });
  };
  for (const segment of segments) {
    const { vaddr, fileSize, executable } = segment;
    const end = vaddr + fileSize;
    if (!executable) {
      add(text, segment, vaddr, end);
      continue;
    }
    if (functions === undefined) {
      add(code, segment, vaddr, end);
      if (!segments.some((other) => !other.executable)) add(text, segment, vaddr, end);
      continue;
    }
    const within = (address: number) => Math.min(Math.max(address, vaddr), end);
    const first = within(functions.bounds.start);
    const last = within(functions.bounds.end);
    add(text, segment, vaddr, first);
    add(code, segment, first, last);
    add(text, segment, last, end);
  }
  return { code, text };
}
