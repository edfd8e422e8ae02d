// The one pass over a program's code: what the byte patterns match at the starts of functions, and which
// instructions may refer to the anchor texts.

import type { AddressMap } from './address-map.js';
import { maxPatternBytes, patternsAt, type WantedFunction } from './byte-patterns.js';
import type { FunctionTable } from './eh-frame.js';
import type { BinaryFile } from './file.js';
import type { Arch } from './headers.js';
import type { AddressSet, MachineCode } from './machine-code.js';
import { defaultWindowBytes } from './search.js';

const maxUsers = 65_536;
const maxMatches = 4096;
/** Codex 0.169 needs 3 million. */
const maxLookedAt = 10_000_000;

export interface CodeScan {
  /** Virtual addresses at which the byte patterns see each wanted function start. */
  patternMatches: Map<WantedFunction, number[]>;
  /** Virtual addresses of instructions that may refer to one of the texts. */
  users: number[];
  /** Why there is nothing. */
  reasons: string[];
}

const nothing: CodeScan = { patternMatches: new Map(), users: [], reasons: [] };

export interface CodeScanInput {
  file: BinaryFile;
  map: AddressMap;
  arch: Arch;
  machine: MachineCode;
  functions: FunctionTable;
  /** File ranges of code. */
  ranges: readonly { offset: number; length: number }[];
  texts: AddressSet | undefined;
  windowBytes?: number | undefined;
}

export function scanCode(input: CodeScanInput): CodeScan {
  const { file, map, arch, machine, functions, texts, windowBytes = defaultWindowBytes } = input;
  const matches: Match[] = [];
  const users: number[] = [];
  let lookedAt = 0;
  const longestRange = Math.max(0, ...input.ranges.map(({ length }) => length));
  const overlap = Math.max(maxPatternBytes, machine.maxSequenceBytes);
  const buffer = Buffer.alloc(Math.min(windowBytes + 2 * overlap, longestRange));

  for (const { offset, length } of input.ranges) {
    for (let start = 0; start < length; start += windowBytes) {
      const before = Math.min(overlap, start);
      const filled = Math.min(length - start + before, windowBytes + before + overlap, buffer.length);
      file.readInto(buffer, offset + start - before, filled);
      const code = buffer.subarray(0, filled);
      const vaddr = map.toVaddr(offset + start - before);
      if (vaddr === undefined) continue;
      const from = before;
      const to = Math.min(before + windowBytes, filled);
      for (const startVaddr of functions.startsIn(vaddr + from, vaddr + to)) {
        const at = startVaddr - vaddr;
        for (const { function: name, jumpAt, bytes } of patternsAt(arch, code, at)) {
          if (matches.length >= maxMatches) break;
          const jump = jumpAt === undefined ? undefined : code.subarray(at + jumpAt, at + bytes.length);
          matches.push({
            name,
            vaddr: startVaddr,
            jumpsTo: jump && machine.branches(jump, startVaddr + (jumpAt ?? 0))[0]?.target,
            isJump: jump !== undefined,
          });
        }
      }
      if (texts === undefined) continue;
      lookedAt += machine.findUsers(code, from, to, vaddr, texts, (at) => {
        if (users.length < maxUsers) users.push(vaddr + at);
      });
      if (lookedAt > maxLookedAt || users.length === maxUsers) {
        return { ...nothing, reasons: ['its code is like no code: too many instructions take addresses'] };
      }
    }
  }
  return { patternMatches: resolveJumps(matches), users, reasons: [] };
}

interface Match {
  name: WantedFunction;
  vaddr: number;
  isJump: boolean;
  jumpsTo: number | undefined;
}

/**
 * A function that jumps into another counts when a pattern knows the other one, too; and the other one is then not
 * what its code alone would make it.
 */
function resolveJumps(matches: readonly Match[]): Map<WantedFunction, number[]> {
  const whole = new Set(matches.filter(({ isJump }) => !isJump).map(({ vaddr }) => vaddr));
  const jumpers = matches.filter(({ jumpsTo }) => jumpsTo !== undefined && whole.has(jumpsTo));
  const entered = new Set(jumpers.map(({ jumpsTo }) => jumpsTo));
  const resolved = new Map<WantedFunction, number[]>();
  for (const { name, vaddr } of [
    ...matches.filter((match) => !match.isJump && !entered.has(match.vaddr)),
    ...jumpers,
  ]) {
    resolved.set(name, [...(resolved.get(name) ?? []), vaddr]);
  }
  return resolved;
}
