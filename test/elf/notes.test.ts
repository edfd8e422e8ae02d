import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { inspectBinary } from '../../src/elf/binary.js';
import { findBuildId } from '../../src/elf/notes.js';
import { bareLibrary, openWorkshop } from './build.js';

function note(name: string, type: number, description: Uint8Array, align = 4): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt32LE(name.length, 0);
  header.writeUInt32LE(description.length, 4);
  header.writeUInt32LE(type, 8);
  const pad = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & (align - 1))]);
  return pad(Buffer.concat([pad(Buffer.concat([header, Buffer.from(name)])), description]));
}

const id = Buffer.from('00112233445566778899aabbccddeeff01234567', 'hex');

describe('BuildID among notes', () => {
  it('is found behind other notes', () => {
    const notes = Buffer.concat([
      note('GNU\0', 1, Buffer.alloc(16)),
      note('stapsdt\0', 3, Buffer.alloc(7)),
      note('CORE\0', 3, Buffer.alloc(7)),
      note('GNU\0', 3, id),
    ]);
    expect(findBuildId(notes, 4)).toBe(id.toString('hex'));
  });

  it('is found where notes are aligned to eight bytes', () => {
    const notes = Buffer.concat([note('GNU\0', 5, Buffer.alloc(12), 8), note('GNU\0', 3, id, 8)]);
    expect(findBuildId(notes, 8)).toBe(id.toString('hex'));
  });

  it('is not taken from sizes that exceed the notes', () => {
    for (const at of [0, 4]) {
      const notes = note('GNU\0', 3, id);
      notes.writeUInt32LE(0xffff_fff0, at);
      expect(findBuildId(notes, 4)).toBeNull();
    }
  });

  it('is not taken from a note that is cut at any byte', () => {
    const notes = note('GNU\0', 3, id);
    for (let length = 0; length < notes.length; length++) {
      expect(findBuildId(notes.subarray(0, length), 4)).toBeNull();
    }
  });

  it('is not the empty or the endless one', () => {
    expect(findBuildId(note('GNU\0', 3, Buffer.alloc(0)), 4)).toBeNull();
    expect(findBuildId(note('GNU\0', 3, Buffer.alloc(65)), 4)).toBeNull();
  });
});

describe('BuildID of a file', () => {
  const workshop = openWorkshop();
  afterAll(workshop.close);
  const source = 'int answer(void) { return 42; }';
  const buildId = (path: string) => inspectBinary(path).fingerprint.build_id;
  const flags = ['-shared', '-fPIC', '-nostdlib'];

  it('comes from the note segment', () => {
    const path = workshop.compile('with-id.so', source, [...flags, '-Wl,--build-id=0xdeadbeef01']);
    expect(buildId(path)).toBe('deadbeef01');
  });

  it('comes from the note section where no segment has it', () => {
    const path = workshop.compile('section-id.so', source, [...flags, '-Wl,--build-id=0xfeed02']);
    const bytes = readFileSync(path);
    const programHeaders = Number(bytes.readBigUInt64LE(32));
    for (let index = 0; index < bytes.readUInt16LE(56); index++) {
      const at = programHeaders + index * 56;
      if (bytes.readUInt32LE(at) === 4) bytes.writeUInt32LE(0, at);
    }
    expect(buildId(workshop.write('section-id-only.so', bytes))).toBe('feed02');
  });

  it('is null where there is none', () => {
    expect(buildId(workshop.compile('without-id.so', source, bareLibrary))).toBeNull();
  });
});
