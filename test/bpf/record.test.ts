import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  Cookie,
  counterNames,
  layout,
  maxNames,
  muchOfRing,
  noticesBytes,
  OperationFlag,
  operationNames,
  ProcessFlag,
  RecordType,
  socketContents,
  socketEndings,
  socketLibrary,
  socketOperations,
  TlsFlag,
} from '../../src/bpf/record.js';

const header = new URL('../../src/bpf/record.h', import.meta.url).pathname;

/** What the C compiler makes of record.h, as JSON. */
const program = `
#include "${header}"
#include <stddef.h>
#include <stdio.h>
#define FIELD(name, type, member) printf("\\"%s\\": %zu,\\n", name, offsetof(struct type, member))
#define VALUE(name, value) printf("\\"%s\\": %d,\\n", name, (int)(value))
int main(void) {
  printf("{");
  FIELD("type", record_header, type);
  FIELD("flags", record_header, flags);
  FIELD("dataLength", record_header, data_length);
  FIELD("time", record_header, time);
  FIELD("pid", record_header, pid);
  FIELD("tid", record_header, tid);
  FIELD("rootPid", record_header, root_pid);
  FIELD("comm", record_header, comm);
  VALUE("commBytes", sizeof(((struct record_header *)0)->comm));
  VALUE("header", sizeof(struct record_header));
  FIELD("tls.startTime", tls_record, start_time);
  FIELD("tls.connection", tls_record, connection);
  FIELD("tls.offset", tls_record, offset);
  FIELD("tls.missing", tls_record, missing);
  FIELD("tls.library", tls_record, library);
  FIELD("tls.additionalLength", tls_record, additional_length);
  FIELD("tls.additional", tls_record, additional);
  FIELD("tls.data", tls_record, data);
  FIELD("fork.parentPid", fork_record, parent_pid);
  FIELD("fork.uid", fork_record, uid);
  FIELD("fork.gid", fork_record, gid);
  FIELD("exec.execTime", exec_record, exec_time);
  FIELD("exec.argvLength", exec_record, argv_length);
  FIELD("exec.parentPid", exec_record, parent_pid);
  FIELD("exec.uid", exec_record, uid);
  FIELD("exec.gid", exec_record, gid);
  FIELD("exec.path", exec_record, path);
  VALUE("exec.pathBytes", sizeof(((struct exec_record *)0)->path));
  FIELD("part.execTime", exec_part_record, exec_time);
  FIELD("part.offset", exec_part_record, offset);
  FIELD("part.data", exec_part_record, data);
  FIELD("socket.connection", socket_record, connection);
  FIELD("socket.carries", socket_record, carries);
  FIELD("socket.sent", socket_record, sent);
  FIELD("socket.received", socket_record, received);
  FIELD("socket.endTime", socket_record, end_time);
  FIELD("socket.sendTime", socket_record, send_time);
  FIELD("socket.operation", socket_record, operation);
  FIELD("socket.content", socket_record, content);
  FIELD("socket.endedBy", socket_record, ended_by);
  FIELD("socket.error", socket_record, error);
  FIELD("socket.family", socket_record, family);
  FIELD("socket.localPort", socket_record, local_port);
  FIELD("socket.remotePort", socket_record, remote_port);
  FIELD("socket.local", socket_record, local);
  FIELD("socket.remote", socket_record, remote);
  VALUE("RECORD_SOCKET", RECORD_SOCKET); VALUE("RECORD_PROGRAM", RECORD_PROGRAM); VALUE("RECORD_LIBRARY", RECORD_LIBRARY);
  VALUE("RECORD_END", RECORD_END);
  VALUE("LIBRARY_SOCKET", LIBRARY_SOCKET); VALUE("PROCESS_ALONE", PROCESS_ALONE); VALUE("PROCESS_NO_FILES", PROCESS_NO_FILES);
  VALUE("PROCESS_SEES_RINGS", PROCESS_SEES_RINGS);
  VALUE("MAX_NAMES", MAX_NAMES); VALUE("NOTICES_BYTES", NOTICES_BYTES);
  VALUE("MUCH_OF_RING", MUCH_OF_RING);
  VALUE("SOCKET_LISTENS", SOCKET_LISTENS); VALUE("SOCKET_CONNECTED", SOCKET_CONNECTED);
  VALUE("SOCKET_ACCEPTED", SOCKET_ACCEPTED); VALUE("SOCKET_CLOSED", SOCKET_CLOSED);
  VALUE("SOCKET_CONTENT_UNKNOWN", SOCKET_CONTENT_UNKNOWN); VALUE("SOCKET_CONTENT_HTTP", SOCKET_CONTENT_HTTP);
  VALUE("SOCKET_CONTENT_TLS", SOCKET_CONTENT_TLS); VALUE("SOCKET_CONTENT_SERVED", SOCKET_CONTENT_SERVED);
  VALUE("SOCKET_CONTENT_OTHER", SOCKET_CONTENT_OTHER); VALUE("SOCKET_CONTENT_NONE", SOCKET_CONTENT_NONE);
  VALUE("SOCKET_ENDED_HERE", SOCKET_ENDED_HERE); VALUE("SOCKET_ENDED_THERE", SOCKET_ENDED_THERE);
  FIELD("exit.parentPid", exit_record, parent_pid);
  FIELD("exit.uid", exit_record, uid);
  FIELD("exit.gid", exit_record, gid);
  FIELD("exit.status", exit_record, status);
  FIELD("operation.startTime", operation_record, start_time);
  FIELD("operation.result", operation_record, result);
  FIELD("operation.values", operation_record, values);
  FIELD("operation.inode", operation_record, inode);
  FIELD("operation.device", operation_record, device);
  FIELD("operation.magic", operation_record, magic);
  FIELD("operation.operation", operation_record, operation);
  FIELD("operation.mode", operation_record, mode);
  FIELD("operation.uid", operation_record, uid);
  FIELD("operation.gid", operation_record, gid);
  FIELD("operation.lengths", operation_record, lengths);
  VALUE("operation.data", sizeof(struct operation_record));
  FIELD("transfer.startTime", transfer_record, start_time);
  FIELD("transfer.duration", transfer_record, duration);
  FIELD("transfer.bytes", transfer_record, bytes);
  FIELD("transfer.count", transfer_record, count);
  FIELD("transfer.offset", transfer_record, offset);
  FIELD("transfer.error", transfer_record, error);
  FIELD("transfer.operation", transfer_record, operation);
  FIELD("content.offset", content_record, offset);
  FIELD("content.missing", content_record, missing);
  FIELD("content.data", content_record, data);
  VALUE("RECORD_TLS", RECORD_TLS); VALUE("RECORD_FORK", RECORD_FORK); VALUE("RECORD_EXEC", RECORD_EXEC);
  VALUE("RECORD_EXIT", RECORD_EXIT); VALUE("RECORD_ARGV", RECORD_ARGV); VALUE("RECORD_VARIABLE", RECORD_VARIABLE);
  VALUE("RECORD_DIRECTORY", RECORD_DIRECTORY); VALUE("RECORD_OPERATION", RECORD_OPERATION);
  VALUE("RECORD_FILE", RECORD_FILE); VALUE("RECORD_TRANSFER", RECORD_TRANSFER); VALUE("RECORD_CONTENT", RECORD_CONTENT);
  VALUE("OPERATION_PATH_CUT", OPERATION_PATH_CUT); VALUE("OPERATION_NAME_UNREADABLE", OPERATION_NAME_UNREADABLE);
  VALUE("OPERATION_CREATED", OPERATION_CREATED);
  VALUE("OPERATION_RENAME", OPERATION_RENAME); VALUE("OPERATION_MAP", OPERATION_MAP); VALUE("OPERATION_EXEC", OPERATION_EXEC);
  VALUE("TLS_RECEIVE", TLS_RECEIVE); VALUE("TLS_OVER_LIMIT", TLS_OVER_LIMIT); VALUE("TLS_UNREADABLE", TLS_UNREADABLE);
  VALUE("COOKIE_RECEIVE", COOKIE_RECEIVE); VALUE("COOKIE_EX", COOKIE_EX); VALUE("COOKIE_HANDSHAKE", COOKIE_HANDSHAKE); VALUE("COOKIE_AEAD", COOKIE_AEAD); VALUE("COOKIE_RING", COOKIE_RING); VALUE("COOKIE_SCATTER", COOKIE_SCATTER);
  VALUE("COOKIE_GO", COOKIE_GO); VALUE("COOKIE_GO_RETURN", COOKIE_GO_RETURN); VALUE("COOKIE_LIBRARY_SHIFT", COOKIE_LIBRARY_SHIFT);
  VALUE("COUNTER_MAX", COUNTER_MAX);
  printf("\\"end\\": 0}");
}`;

let directory: string;
let fromC: Record<string, number>;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'agsight-record-'));
  writeFileSync(join(directory, 'offsets.c'), program);
  execFileSync('cc', ['-Wno-format', '-o', join(directory, 'offsets'), join(directory, 'offsets.c')]);
  fromC = JSON.parse(execFileSync(join(directory, 'offsets'), { encoding: 'utf8' }));
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('TypeScript and C agree on every offset of a record', () => {
  const { tls, fork, exec, part, socket, exit, operation, transfer, content, ...common } = layout;
  for (const [name, offset] of Object.entries(common))
    expect({ [name]: fromC[name] }).toEqual({ [name]: offset });
  for (const [record, fields] of Object.entries({
    tls,
    fork,
    exec,
    part,
    socket,
    exit,
    operation,
    transfer,
    content,
  })) {
    for (const [field, offset] of Object.entries(fields)) {
      const name = `${record}.${field}`;
      expect({ [name]: fromC[name] }).toEqual({ [name]: offset });
    }
  }
});

test('TypeScript and C agree on types, flags, cookies and the number of counters', () => {
  expect(RecordType).toEqual({
    tls: fromC.RECORD_TLS,
    fork: fromC.RECORD_FORK,
    exec: fromC.RECORD_EXEC,
    exit: fromC.RECORD_EXIT,
    argv: fromC.RECORD_ARGV,
    variable: fromC.RECORD_VARIABLE,
    directory: fromC.RECORD_DIRECTORY,
    operation: fromC.RECORD_OPERATION,
    file: fromC.RECORD_FILE,
    transfer: fromC.RECORD_TRANSFER,
    content: fromC.RECORD_CONTENT,
    socket: fromC.RECORD_SOCKET,
    program: fromC.RECORD_PROGRAM,
    library: fromC.RECORD_LIBRARY,
    end: fromC.RECORD_END,
  });
  expect(OperationFlag).toEqual({
    pathCut: fromC.OPERATION_PATH_CUT,
    nameUnreadable: fromC.OPERATION_NAME_UNREADABLE,
    created: fromC.OPERATION_CREATED,
  });
  for (const name of ['rename', 'map', 'exec'] as const) {
    expect(operationNames.indexOf(name)).toBe(fromC[`OPERATION_${name.toUpperCase()}`]);
  }
  expect(operationNames).toHaveLength((fromC.OPERATION_EXEC ?? 0) + 1);
  expect(TlsFlag).toEqual({
    receive: fromC.TLS_RECEIVE,
    overLimit: fromC.TLS_OVER_LIMIT,
    unreadable: fromC.TLS_UNREADABLE,
  });
  expect(Cookie).toEqual({
    receive: fromC.COOKIE_RECEIVE,
    ex: fromC.COOKIE_EX,
    handshake: fromC.COOKIE_HANDSHAKE,
    aead: fromC.COOKIE_AEAD,
    ring: fromC.COOKIE_RING,
    scatter: fromC.COOKIE_SCATTER,
    go: fromC.COOKIE_GO,
    goReturn: fromC.COOKIE_GO_RETURN,
    libraryShift: fromC.COOKIE_LIBRARY_SHIFT,
  });
  expect(socketLibrary).toBe(fromC.LIBRARY_SOCKET);
  expect(ProcessFlag).toEqual({
    alone: fromC.PROCESS_ALONE,
    noFiles: fromC.PROCESS_NO_FILES,
    seesRings: fromC.PROCESS_SEES_RINGS,
  });
  expect({ maxNames, muchOfRing, noticesBytes }).toEqual({
    maxNames: fromC.MAX_NAMES,
    muchOfRing: fromC.MUCH_OF_RING,
    noticesBytes: fromC.NOTICES_BYTES,
  });
  expect(socketOperations.indexOf('listen')).toBe(fromC.SOCKET_LISTENS);
  expect(socketOperations.indexOf('connect')).toBe(fromC.SOCKET_CONNECTED);
  expect(socketOperations.indexOf('accept')).toBe(fromC.SOCKET_ACCEPTED);
  expect(socketOperations.indexOf('close')).toBe(fromC.SOCKET_CLOSED);
  expect(socketContents).toEqual(['unknown', 'http', 'tls', 'served', 'other', 'none']);
  expect(socketContents.map((name) => fromC[`SOCKET_CONTENT_${name.toUpperCase()}`])).toEqual([
    0, 1, 2, 3, 4, 5,
  ]);
  expect(socketEndings.indexOf('here')).toBe(fromC.SOCKET_ENDED_HERE);
  expect(socketEndings.indexOf('there')).toBe(fromC.SOCKET_ENDED_THERE);
  expect(counterNames).toHaveLength(fromC.COUNTER_MAX ?? 0);
});
