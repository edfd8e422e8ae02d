// Records as the kernel program writes them, made by hand: paths, files that are read and written, addresses.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { layout, OperationFlag, operationNames, RecordType } from '../../src/bpf/record.js';
import { RecordReader } from '../../src/bpf/record-reader.js';
import { OperationAssembler } from '../../src/capture/operation-assembler.js';

const at = layout.operation;
type Operation = Exclude<(typeof operationNames)[number], undefined>;

interface Parts {
  type?: number;
  tid?: number;
  flags?: number;
  result?: bigint;
  values?: bigint[];
  /** Directory as the kernel has it, last component first; name as the program gave it; the same of the target. */
  strings?: [directory?: string[], name?: string | Buffer, targetDirectory?: string[], targetName?: string];
}

function operation(
  name: Operation,
  { type, tid = 1, flags = 0, result = 0n, values = [], strings = [] }: Parts,
): Buffer {
  const [directory = [], given = '', targetDirectory = [], target = ''] = strings;
  const inside = (components: string[]) => Buffer.from(components.map((part) => `${part}\0`).join(''));
  const parts = [inside(directory), Buffer.from(given), inside(targetDirectory), Buffer.from(target)];
  const record = Buffer.alloc(at.data);
  record.writeUInt16LE(type ?? RecordType.operation, layout.type);
  record.writeUInt16LE(flags, layout.flags);
  record.writeBigUInt64LE(1000n, layout.time);
  record.writeUInt32LE(tid, layout.tid);
  record.writeBigUInt64LE(400n, at.startTime);
  record.writeBigInt64LE(result, at.result);
  for (const [index, value] of values.entries()) record.writeBigUInt64LE(value, at.values + 8 * index);
  record.writeUInt32LE(operationNames.indexOf(name), at.operation);
  for (const [index, part] of parts.entries()) record.writeUInt16LE(part.length, at.lengths + 2 * index);
  return Buffer.concat([record, ...parts]);
}

function transfer(name: 'read' | 'write', bytes: bigint, tid = 1): Buffer {
  const record = Buffer.alloc(96);
  record.writeUInt16LE(RecordType.transfer, layout.type);
  record.writeBigUInt64LE(1000n, layout.time);
  record.writeUInt32LE(tid, layout.tid);
  record.writeBigUInt64LE(400n, layout.transfer.startTime);
  record.writeBigUInt64LE(bytes, layout.transfer.bytes);
  record.writeUInt32LE(operationNames.indexOf(name), layout.transfer.operation);
  return record;
}

function assembler(): OperationAssembler {
  return new OperationAssembler((record) => ({
    pid: 7,
    tid: record.uint32(layout.tid),
    comm: 'sh',
    timeNs: record.uint64(layout.time),
    rootPid: 7,
  }));
}

const read = (record: Buffer) => assembler().read(new RecordReader(record));

test.each([
  [['work', 'home'], 'a.txt', '/home/work/a.txt', false],
  [['work', 'home'], './sub//a.txt/', '/home/work/sub/a.txt', false],
  [['work', 'home'], '../a.txt', '/home/a.txt', true],
  [['work'], '../../../a.txt', '/a.txt', true],
  [['work'], '', '/work', false],
  [[], '/etc/passwd', '/etc/passwd', false],
  // Of a process in a root of its own, absolute names begin there.
  [['jail', 'srv'], '/etc/passwd', '/srv/jail/etc/passwd', false],
  [[], '', '/', false],
])('%j and %j are %j', (directory, name, path, pathInferred) => {
  expect(read(operation('delete', { strings: [directory, name] }))).toMatchObject({ path, pathInferred });
});

test('what is cut or could not be read is marked', () => {
  for (const flags of [OperationFlag.pathCut, OperationFlag.nameUnreadable]) {
    expect(read(operation('delete', { flags, strings: [['a']] }))).toMatchObject({ pathInferred: true });
  }
});

test('a call has its time, its result and what it asked for', () => {
  expect(
    read(operation('chown', { result: -13n, values: [0n, 2n ** 64n - 1n], strings: [['f']] })),
  ).toMatchObject({
    ...{ kind: 'file-op', timeNs: 400n, endNs: 1000n, errno: 13, path: '/f' },
    ...{ ownerUid: 0, ownerGid: 4_294_967_295 },
  });
  expect(read(operation('rename', { strings: [['a'], 'x', ['b'], 'y'] }))).toMatchObject({
    ...{ path: '/a/x', target: '/b/y', errno: 0 },
  });
  expect(read(operation('symlink', { strings: [['a'], 'x', [], '../what it says'] }))).toMatchObject({
    ...{ path: '/a/x', target: '../what it says' },
  });
});

test.each([
  ['made the file', OperationFlag.created, 3n, 0o101n, 'create'],
  ['found the file', 0, 3n, 0o101n, 'open'],
  ['would have made it', 0, -13n, 0o101n, 'create'],
  ['would have written to it', 0, -13n, 0o1n, 'open'],
])('an open that %s', (_, flags, result, openFlags, expected) => {
  expect(read(operation('open', { flags, result, values: [openFlags, 0o644n] }))).toMatchObject({
    operation: expected,
  });
});

test('reads and writes are of the file that their thread has begun with, and counted when it is not known', () => {
  const operations = assembler();
  const begin = (name: Operation, tid: number, file: string) =>
    operations.read(new RecordReader(operation(name, { type: RecordType.file, tid, strings: [[file]] })));
  begin('read', 1, 'in');
  begin('write', 1, 'out');
  begin('write', 2, 'other');
  expect(operations.read(new RecordReader(transfer('read', 5n)))).toMatchObject({
    operation: 'read',
    path: '/in',
    bytes: 5,
  });
  expect(operations.read(new RecordReader(transfer('write', 6n)))).toMatchObject({
    operation: 'write',
    path: '/out',
  });
  expect(operations.read(new RecordReader(transfer('write', 7n, 2)))).toMatchObject({ path: '/other' });
  expect(operations.unknownFiles).toBe(0);
  expect(operations.read(new RecordReader(transfer('read', 8n, 2)))).toMatchObject({
    path: '',
    pathInferred: true,
    bytes: 8,
  });
  expect(operations.unknownFiles).toBe(1);
});

test.each([
  ['0200 01bb c0000201', 2, '192.0.2.1', 443],
  [`0a00 01bb 00000000 20010db8${'00'.repeat(11)}01`, 10, '2001:db8:0:0:0:0:0:1', 443],
  [`0100 ${Buffer.from('/run/socket\0rest').toString('hex')}`, 1, '/run/socket', 0],
  [`0100 00${Buffer.from('abstract').toString('hex')}`, 1, '@abstract', 0],
  ['1000 0000', 16, '', 0],
  ['02', 0, '', 0],
])('the address %s', (hex, family, address, port) => {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  expect(read(operation('connect', { strings: [[], bytes] }))).toMatchObject({ family, address, port });
});

test('any strings make a path that is absolute and whole', () => {
  const component = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !/[\0/]/.test(text));
  fc.assert(
    fc.property(fc.array(component, { maxLength: 5 }), fc.string({ unit: 'grapheme' }), (directory, name) => {
      const event = read(operation('delete', { strings: [directory, name.replaceAll('\0', '')] }));
      expect(event).toMatchObject({ path: expect.stringMatching(/^\/(?!.*\/\/)/s) });
      if (event?.kind === 'file-op' && !event.pathInferred) {
        expect(event.path.startsWith(`/${directory.toReversed().join('/')}`)).toBe(true);
      }
    }),
  );
});
