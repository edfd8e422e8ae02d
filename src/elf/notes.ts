// ELF notes, of which only the GNU BuildID is wanted. Format: System V ABI, "Note Section";
// alignment 8 as in the x86-64 psABI's property notes.

import type { BinaryFile } from './file.js';
import type { ElfHeaders } from './headers.js';

const noteHeaderBytes = 12;
const gnuBuildIdType = 3;
const maxBuildIdBytes = 64;
/** Of all notes together; those of a program have some hundred bytes. */
const maxNoteBytes = 1024 * 1024;

/**
 * The BuildID as lower-case hex, from the note segments, else from the note sections; null when there is none.
 * A note whose sizes exceed its segment ends the search there.
 */
export function readBuildId(file: BinaryFile, headers: ElfHeaders): string | null {
  const segments = headers.segments
    .filter(({ type }) => type === 'note')
    .map(({ offset, fileSize, align }) => ({ offset, size: fileSize, align }));
  const sections = headers.sections
    .filter(({ type }) => type === 'note')
    .map(({ offset, size }) => ({ offset, size, align: 4 }));
  let left = maxNoteBytes;
  for (const { offset, size, align } of [...segments, ...sections]) {
    const length = Math.min(size, left, file.size - offset);
    if (!(length >= noteHeaderBytes)) continue;
    left -= length;
    const buildId = findBuildId(file.read(offset, length), align);
    if (buildId !== null) return buildId;
  }
  return null;
}

/** The BuildID among `notes`, which stand one after the other, aligned to `align` (8, else 4). */
export function findBuildId(notes: Buffer, align: number): string | null {
  const step = align === 8 ? 8 : 4;
  const alignUp = (value: number) => Math.ceil(value / step) * step;
  let at = 0;
  while (at + noteHeaderBytes <= notes.length) {
    const nameBytes = notes.readUInt32LE(at);
    const descriptionBytes = notes.readUInt32LE(at + 4);
    const type = notes.readUInt32LE(at + 8);
    const name = at + noteHeaderBytes;
    const description = alignUp(name + nameBytes);
    const end = description + descriptionBytes;
    if (end > notes.length) return null;
    const isBuildId = type === gnuBuildIdType && notes.toString('latin1', name, name + nameBytes) === 'GNU\0';
    if (isBuildId && descriptionBytes > 0 && descriptionBytes <= maxBuildIdBytes) {
      return notes.toString('hex', description, end);
    }
    at = alignUp(end);
  }
  return null;
}
