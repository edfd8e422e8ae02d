import { expect, test } from 'vitest';
import { layout, RecordType, TlsFlag } from '../../src/bpf/record.js';
import { RecordReader } from '../../src/bpf/record-reader.js';
import { EventAssembler } from '../../src/capture/event-assembler.js';

const clocks = { monotonicNs: 1_000n, realtimeNs: 1_800_000_000_000_001_000n };

function record(type: number, fields: { tid?: number; data?: string; flags?: number } = {}): Buffer {
  const buffer = Buffer.alloc(1024);
  buffer.writeUInt16LE(type, layout.type);
  buffer.writeUInt16LE(fields.flags ?? 0, layout.flags);
  buffer.writeUInt32LE(Buffer.byteLength(fields.data ?? ''), layout.dataLength);
  buffer.writeBigUInt64LE(5_000n, layout.time);
  buffer.writeUInt32LE(40, layout.pid);
  buffer.writeUInt32LE(fields.tid ?? 41, layout.tid);
  buffer.writeUInt32LE(39, layout.rootPid);
  buffer.write('sixteen bytes ok', layout.comm, 'latin1');
  return buffer;
}

function part(type: number, execTime: bigint, data: string): Buffer {
  const buffer = record(type, { data });
  buffer.writeBigUInt64LE(execTime, layout.part.execTime);
  buffer.write(data, layout.part.data);
  return buffer;
}

function exec(execTime: bigint, argvLength: number): Buffer {
  const buffer = record(RecordType.exec);
  buffer.writeBigUInt64LE(execTime, layout.exec.execTime);
  buffer.writeBigUInt64LE(BigInt(argvLength), layout.exec.argvLength);
  buffer.write('/bin/sh', layout.exec.path);
  return buffer;
}

function exit(status: number): Buffer {
  const buffer = record(RecordType.exit);
  buffer.writeUInt32LE(status, layout.exit.status);
  return buffer;
}

test('an exec is put together from its parts, with argument boundaries kept', () => {
  const assembler = new EventAssembler(clocks);
  expect(assembler.read(new RecordReader(part(RecordType.variable, 7n, 'CODEX_HOME=/a=b')))).toBeUndefined();
  expect(assembler.read(new RecordReader(part(RecordType.argv, 7n, 'sh\0-c\0')))).toBeUndefined();
  expect(assembler.read(new RecordReader(part(RecordType.argv, 7n, '\0two words\0')))).toBeUndefined();
  expect(assembler.read(new RecordReader(exec(7n, 17)))).toMatchObject({
    kind: 'exec',
    pid: 40,
    tid: 41,
    rootPid: 39,
    comm: 'sixteen bytes ok',
    timeNs: 1_800_000_000_000_005_000n,
    execPath: '/bin/sh',
    argv: ['sh', '-c', '', 'two words'],
    argvMissing: 0,
    environment: { CODEX_HOME: '/a=b' },
  });
});

test('parts of an exec whose last record was lost do not leak into the next', () => {
  const assembler = new EventAssembler(clocks);
  assembler.read(new RecordReader(part(RecordType.argv, 7n, 'lost\0')));
  assembler.read(new RecordReader(part(RecordType.argv, 8n, 'kept\0')));
  expect(assembler.read(new RecordReader(exec(8n, 5)))).toMatchObject({ argv: ['kept'], argvMissing: 0 });
  assembler.read(new RecordReader(part(RecordType.argv, 9n, 'lost\0')));
  expect(assembler.read(new RecordReader(exec(10n, 5)))).toMatchObject({
    argv: [],
    argvMissing: 5,
    environment: {},
  });
});

test('a status of wait(2) is an exit code or a signal, never both', () => {
  const assembler = new EventAssembler(clocks);
  const zero = assembler.read(new RecordReader(exit(0)));
  expect(zero).toMatchObject({ exitCode: 0 });
  expect(zero).not.toHaveProperty('signal');
  expect(assembler.read(new RecordReader(exit(3 << 8)))).toMatchObject({ exitCode: 3 });
  const killed = assembler.read(new RecordReader(exit(9)));
  expect(killed).toMatchObject({ signal: 9 });
  expect(killed).not.toHaveProperty('exitCode');
  expect(assembler.read(new RecordReader(exit(0x80 | 11)))).toMatchObject({ signal: 11 });
});

test('a TLS record is its bytes, or the number of those that are missing and why', () => {
  const assembler = new EventAssembler(clocks);
  const whole = record(RecordType.tls, { data: 'hello', flags: TlsFlag.receive });
  whole.writeUInt32LE(1, layout.tls.library);
  whole.writeBigUInt64LE(2n ** 40n, layout.tls.offset);
  whole.write('hello', layout.tls.data);
  expect(assembler.read(new RecordReader(whole))).toMatchObject({
    direction: 'receive',
    library: 'openssl',
    offset: 2 ** 40,
    data: Buffer.from('hello'),
    missing: 0,
  });

  const absent = record(RecordType.tls, { flags: TlsFlag.unreadable });
  absent.writeBigUInt64LE(100n, layout.tls.missing);
  expect(assembler.read(new RecordReader(absent))).toMatchObject({
    direction: 'send',
    missing: 100,
    missingReason: 'unreadable',
  });
  expect(assembler.read(new RecordReader(whole))).not.toHaveProperty('missingReason');
});
