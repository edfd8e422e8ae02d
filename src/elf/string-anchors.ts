// The wanted functions by the texts that they name in their error reports, and by who calls whom: a way of its own
// beside the byte patterns, that survives another compiler. Gives every candidate; choosing is pattern-tier.ts's.

import type { AddressMap } from './address-map.js';
import type { WantedFunction } from './byte-patterns.js';
import type { FunctionTable } from './eh-frame.js';
import type { BinaryFile } from './file.js';
import { type AddressSet, addressSet, isAmong, type MachineCode } from './machine-code.js';

const anchors = {
  writeInternal: 'ssl_write_internal\0',
  readInternal: 'ssl_read_internal\0',
  handshake: 'SSL_do_handshake\0',
  write: 'SSL_write\0',
  read: 'SSL_read\0',
  opensslFile: 'ssl/ssl_lib.c\0',
  awslcFile: 'crypto/fipsmodule/cipher/aead.c\0',
} as const;

type Anchor = keyof typeof anchors;
const anchorNames = Object.keys(anchors) as Anchor[];

/** What to search the read-only data for before `locateAnchors`. */
export const anchorNeedles: readonly Buffer[] = Object.values(anchors).map((text) => Buffer.from(text));

/** Why an AEAD call failed, of aws-lc's cipher.h: each function reports reasons of its own. */
const awslcReason = {
  badDecrypt: 101,
  bufferTooSmall: 103,
  invalidOperation: 112,
  outputAliasesInput: 115,
  tooLarge: 117,
};

/** A path may stand before the file names that are searched for; code refers to its start. */
const maxPathBytes = 512;
const pathCharacter = /[\w./@+-]/;

const maxFunctionBytes = 64 * 1024;
const maxUserFunctions = 4096;
const maxUserBytes = 16 * 1024 * 1024;
/** ssl_lib.o has about 40 KiB of code, in which the callers of its internal functions stand. */
const neighbourhoodBytes = 64 * 1024;
const maxCallerBytes = 0x60;
/** ssl_lib.o has 400 functions. */
const maxNeighbours = 4096;

export interface AnchorTexts {
  /** All of them: what code is searched for. */
  all: AddressSet;
  byAnchor: ReadonlyMap<Anchor, AddressSet>;
}

/** Undefined when no text is there. `places`: the file offsets of each of `anchorNeedles`. */
export function locateAnchors(
  file: BinaryFile,
  map: AddressMap,
  places: readonly (readonly number[])[],
): AnchorTexts | undefined {
  const byAnchor = new Map<Anchor, AddressSet>();
  for (const [index, name] of anchorNames.entries()) {
    const isPath = name === 'opensslFile' || name === 'awslcFile';
    const ranges = (places[index] ?? []).flatMap((place) => {
      const last = map.toVaddr(place);
      return last === undefined ? [] : [{ first: last - (isPath ? pathBefore(file, place) : 0), last }];
    });
    if (ranges.length > 0) byAnchor.set(name, addressSet(ranges));
  }
  if (byAnchor.size === 0) return undefined;
  return { all: addressSet([...byAnchor.values()].flatMap(({ ranges }) => ranges)), byAnchor };
}

function pathBefore(file: BinaryFile, place: number): number {
  const length = Math.min(maxPathBytes, place);
  const before = file.read(place - length, length).toString('latin1');
  let path = 0;
  while (path < length && pathCharacter.test(before.charAt(length - path - 1))) path++;
  return path;
}

export interface AnchorInput {
  file: BinaryFile;
  map: AddressMap;
  functions: FunctionTable;
  machine: MachineCode;
  texts: AnchorTexts;
  /** Virtual addresses of instructions that may refer to one of the texts. */
  users: readonly number[];
}

export interface AnchorFindings {
  /** Virtual addresses at which each wanted function could start. */
  places: ReadonlyMap<WantedFunction, readonly number[]>;
  /** Why there are none. */
  reasons: string[];
}

/** A function that names texts. */
interface User {
  start: number;
  code: Buffer;
  names: ReadonlySet<Anchor>;
}

/**
 * Looks at the functions that name the texts, and at those around them.
 *
 * @throws AgsightError `damaged` when the file became shorter
 */
export function findByAnchors(input: AnchorInput): AnchorFindings {
  const { machine } = input;
  const users = usersOf(input);
  if (users === undefined) {
    return { places: new Map(), reasons: ['too many functions seem to name the texts of error reports'] };
  }
  const naming = (name: Anchor) => users.filter(({ names }) => names.has(name) && names.has('opensslFile'));
  const starts = (found: readonly User[]) => found.map(({ start }) => start);
  const reporting = (...reasons: (keyof typeof awslcReason)[]) =>
    users.filter(
      ({ names, code }) =>
        names.has('awslcFile') && reasons.every((reason) => machine.passesThird(code, awslcReason[reason])),
    );
  const writeInternal = starts(naming('writeInternal'));
  const readInternal = starts(naming('readInternal'));
  const small = [...writeInternal, ...readInternal]
    .slice(0, 8)
    .flatMap((start) => smallFunctionsNear(input, start));
  const isPlain = (internal: readonly number[]) => (user: User) =>
    machine.branches(user.code, user.start).some(({ target }) => internal.includes(target));
  const places = new Map<WantedFunction, number[]>([
    ['SSL_write_ex', writeWrappers(machine, small, writeInternal)],
    ['SSL_read_ex', readWrappers(machine, small, readInternal)],
    ['SSL_write', starts(naming('write').filter(isPlain(writeInternal)))],
    ['SSL_read', starts(naming('read').filter(isPlain(readInternal)))],
    ['SSL_do_handshake', starts(naming('handshake'))],
    ['EVP_AEAD_CTX_seal', starts(reporting('tooLarge', 'bufferTooSmall'))],
    ['EVP_AEAD_CTX_open', starts(reporting('badDecrypt'))],
    ['EVP_AEAD_CTX_seal_scatter', starts(reporting('outputAliasesInput', 'invalidOperation'))],
  ]);
  return { places, reasons: [] };
}

/** Undefined when there are too many to look at. */
function usersOf({ file, map, functions, machine, texts, users }: AnchorInput): User[] | undefined {
  const found = new Map<number, User>();
  const seen = new Set<number>();
  let bytes = 0;
  for (const place of users) {
    const bounds = functions.boundsAt(place);
    if (bounds === undefined || seen.has(bounds.start)) continue;
    seen.add(bounds.start);
    const code = codeOf(file, map, bounds.start, Math.min(bounds.end - bounds.start, maxFunctionBytes));
    if (code === undefined) continue;
    bytes += code.length;
    if (seen.size > maxUserFunctions || bytes > maxUserBytes) {
      return undefined;
    }
    const names = new Set<Anchor>();
    for (const { target } of machine.addressesTaken(code, bounds.start, texts.all)) {
      for (const [name, addresses] of texts.byAnchor) {
        if (isAmong(addresses, target)) names.add(name);
      }
    }
    if (names.size > 0) found.set(bounds.start, { start: bounds.start, code, names });
  }
  return [...found.values()];
}

interface SmallFunction {
  start: number;
  code: Buffer;
  targets: number[];
}

function smallFunctionsNear(input: AnchorInput, vaddr: number): SmallFunction[] {
  const { file, map, functions, machine } = input;
  const found: SmallFunction[] = [];
  let count = 0;
  for (const start of functions.startsIn(vaddr - neighbourhoodBytes, vaddr + neighbourhoodBytes)) {
    if (++count > maxNeighbours) break;
    const bounds = functions.boundsAt(start);
    if (bounds === undefined || bounds.end - start > maxCallerBytes) continue;
    const code = codeOf(file, map, start, bounds.end - start);
    if (code === undefined) continue;
    found.push({ start, code, targets: machine.branches(code, start).map(({ target }) => target) });
  }
  return found;
}

/**
 * SSL_write_ex(ssl, buf, num, written) calls ssl_write_internal(ssl, buf, num, flags, written): it moves `written`
 * from the fourth to the fifth place and calls, or jumps into SSL_write_ex2, which does. Before OpenSSL 3.3 there
 * were no flags, and the only wrapper that passes all on unchanged is SSL_write_ex.
 */
function writeWrappers(
  machine: MachineCode,
  small: readonly SmallFunction[],
  internal: readonly number[],
): number[] {
  const direct = small.filter(({ targets }) => targets.some((target) => internal.includes(target)));
  const reachable = new Set([...internal, ...direct.map(({ start }) => start)]);
  const movers = small.filter(
    ({ code, targets }) =>
      machine.movesFourthToFifth(code) && targets.some((target) => reachable.has(target)),
  );
  return unique(
    movers.length > 0 ? movers : direct.filter(({ code }) => code.length <= machine.maxWrapperBytes),
  );
}

/** SSL_read_ex passes its four arguments on as they are; every other caller has to do more, and is longer. */
function readWrappers(
  machine: MachineCode,
  small: readonly SmallFunction[],
  internal: readonly number[],
): number[] {
  return unique(
    small.filter(
      ({ code, targets }) =>
        code.length <= machine.maxWrapperBytes && targets.some((target) => internal.includes(target)),
    ),
  );
}

function unique(functions: readonly SmallFunction[]): number[] {
  return [...new Set(functions.map(({ start }) => start))];
}

function codeOf(file: BinaryFile, map: AddressMap, start: number, length: number): Buffer | undefined {
  const offset = map.toOffset(start);
  if (offset === undefined || length <= 0 || offset + length > file.size) return undefined;
  return file.read(offset, length);
}
