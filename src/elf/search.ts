// Finds byte strings in ranges of a file: one pass over each range, one window of memory.
// Gives places only; what stands around them is the caller's to read.

import type { BinaryFile } from './file.js';

/** More would be slower: the kernel would have to find new pages for it, and the processor to fetch them twice. */
export const defaultWindowBytes = 256 * 1024;

/** Places kept of one needle; whoever gets this many knows that there may be more. */
export const maxPlaces = 4096;

export interface SearchRange {
  offset: number;
  length: number;
  needles: readonly Buffer[];
}

/**
 * File offsets of the needles in the ranges that name them, also of those that cross the border of two windows.
 *
 * @returns by needle, the same object that the range named
 * @throws AgsightError `damaged` when a range is not in the file
 */
export function search(
  file: BinaryFile,
  ranges: readonly SearchRange[],
  windowBytes = defaultWindowBytes,
): Map<Buffer, number[]> {
  const needles = ranges.flatMap((range) => range.needles);
  const places = new Map(needles.map((needle): [Buffer, number[]] => [needle, []]));
  const overlap = Math.max(0, ...needles.map(({ length }) => length - 1));
  const longestRange = Math.max(0, ...ranges.map(({ length }) => length));
  const window = Buffer.alloc(Math.min(windowBytes + overlap, longestRange));
  for (const range of ranges) {
    if (range.needles.length === 0) continue;
    for (let start = 0; start < range.length; start += windowBytes) {
      const filled = Math.min(window.length, range.length - start);
      file.readInto(window, range.offset + start, filled);
      const view = window.subarray(0, filled);
      for (const needle of range.needles) {
        const found = places.get(needle) ?? [];
        let at = view.indexOf(needle);
        // What starts beyond the window's own bytes is found again at the start of the next one.
        while (at !== -1 && at < windowBytes && found.length < maxPlaces) {
          found.push(range.offset + start + at);
          at = view.indexOf(needle, at + 1);
        }
      }
    }
  }
  return places;
}
