// The functions of stripped programs, by two methods that know nothing of each other: byte patterns, and what leads to
// them (texts that they name, tables that name them). Where both have an answer they must agree on one function; where one has, it is taken with lower
// confidence; where more than one function could be it, none is.

import type { AddressMap } from './address-map.js';
import type { RecordSymbol, WantedFunction } from './byte-patterns.js';
import type { CodeScan } from './code-scan.js';
import type { AnchorFindings } from './string-anchors.js';
import {
  type Confidence,
  eachRecordLibrary,
  type Findings,
  type RecordAnswer,
  type RecordLibraryName,
  recordOffsets,
  recordSymbols,
  symbolName,
  type TlsFunction,
} from './tls-function.js';

type Choice = { vaddr: number; confidence: Confidence } | { reason: string } | undefined;

const openssl: readonly [WantedFunction, Pick<TlsFunction, 'name' | 'isEx'>][] = [
  ['SSL_write_ex', { name: 'ssl_write', isEx: true }],
  ['SSL_read_ex', { name: 'ssl_read', isEx: true }],
  ['SSL_write', { name: 'ssl_write', isEx: false }],
  ['SSL_read', { name: 'ssl_read', isEx: false }],
  ['SSL_do_handshake', { name: 'ssl_do_handshake', isEx: false }],
];

/** Brings both methods together. A library counts as found when data can be seen in both directions. */
export function chooseFunctions(
  { patternMatches, reasons: obstacles }: CodeScan,
  anchored: AnchorFindings,
  map: AddressMap,
): Findings {
  const reasons = [...obstacles, ...anchored.reasons];
  const doubts: string[] = [];
  const chosen = (
    name: WantedFunction,
    why: string[],
  ): { offset: number; confidence: Confidence } | undefined => {
    const choice = choose(name, patternMatches.get(name) ?? [], anchored.places.get(name) ?? []);
    if (choice === undefined) return undefined;
    if ('reason' in choice) {
      why.push(choice.reason);
      return undefined;
    }
    const offset = map.toOffset(choice.vaddr);
    return offset !== undefined && map.isCode(offset) ? { offset, confidence: choice.confidence } : undefined;
  };

  const chosenRecords = (library: RecordLibraryName): RecordAnswer => {
    const symbols: Readonly<Record<string, RecordSymbol>> = recordSymbols[library];
    const found = new Map(Object.entries(symbols).map(([key, symbol]) => [key, chosen(symbol, reasons)]));
    const offsets = recordOffsets(library, (key) => found.get(key)?.offset);
    if (offsets === undefined) return null;
    const isDoubtful = [...found.values()].some((one) => one?.confidence === 'low');
    return { offsets, confidence: isDoubtful ? 'low' : 'high' };
  };

  const functions = openssl.flatMap(([name, kind]): TlsFunction[] => {
    const found = chosen(name, doubts);
    return found === undefined ? [] : [{ ...kind, ...found }];
  });
  const isDoubtful = doubts.some((reason) => /^SSL_(?:write|read)/.test(reason));
  const isWhole = (isEx: boolean) =>
    !isDoubtful &&
    (['ssl_write', 'ssl_read'] as const).every((name) =>
      functions.some((found) => found.name === name && found.isEx === isEx),
    );
  const carriers = functions.filter(({ name }) => name !== 'ssl_do_handshake');
  if (carriers.length > 0 && !isWhole(true) && !isWhole(false)) {
    doubts.push(`only ${carriers.map(symbolName).join(' and ')} was found: data in one direction`);
  }
  return {
    functions: functions.filter(({ name, isEx }) =>
      name === 'ssl_do_handshake' ? isWhole(true) || isWhole(false) : isWhole(isEx),
    ),
    records: eachRecordLibrary(chosenRecords),
    reasons,
    doubts,
  };
}

/** One of the places that the two methods give for a function, or why not. */
function choose(name: WantedFunction, matched: readonly number[], anchored: readonly number[]): Choice {
  const both = matched.length > 0 && anchored.length > 0;
  const candidates = both ? matched.filter((vaddr) => anchored.includes(vaddr)) : [...matched, ...anchored];
  const [vaddr] = candidates;
  if (candidates.length > 1) {
    return { reason: `${name} could be at any of ${candidates.length} places: ${listed(candidates)}` };
  }
  if (vaddr !== undefined) return { vaddr, confidence: both ? 'high' : 'low' };
  if (!both) return undefined;
  return {
    reason: `${name} is at ${listed(matched)} by its code, at ${listed(anchored)} by the texts and tables that lead to it`,
  };
}

/** Addresses, not file offsets: they are what a disassembler shows. */
function listed(vaddrs: readonly number[]): string {
  const shown = vaddrs.slice(0, 4).map((vaddr) => `0x${vaddr.toString(16)}`);
  return shown.join(', ') + (vaddrs.length > shown.length ? ', …' : '');
}
