// HTTP without TLS, as to a proxy on the same host: the bytes that clients send and receive over their sockets, whatever
// calls they use for it, what tells it from other protocols, and what becomes of the connections.

import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CaptureOptions, capture } from '../../src/capture/capture.js';
import type { EvidenceEvent, SocketEvent, TlsEvent } from '../../src/evidence/event.js';
import { readEvidence } from '../../src/evidence/reader.js';
import { createServerIdentity } from '../support/certificate.js';
import { requireRoot } from '../support/requirements.js';
import { socksProxy } from '../support/socks-proxy.js';

let directory: string;

beforeEach((context) => {
  requireRoot(context);
  directory = mkdtempSync(join(tmpdir(), 'agsight-plain-'));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return address === null || typeof address === 'string' ? 0 : (address satisfies AddressInfo).port;
}

interface Recorded {
  summary: Awaited<ReturnType<typeof capture>>;
  send: Buffer;
  receive: Buffer;
  sockets: SocketEvent[];
}

/** What a capture of `command` holds of the connections with `port`. */
async function record(
  command: readonly string[],
  port: number,
  more: Partial<CaptureOptions> = {},
): Promise<Recorded> {
  const output = join(directory, 'bundle');
  const summary = await capture({
    output,
    target: { command },
    ringBytes: 64 << 20,
    files: false,
    stop: new AbortController().signal,
    ...more,
  });
  const all: EvidenceEvent[] = [];
  for await (const event of readEvidence(output)) all.push(event);
  const sockets = all
    .filter((event): event is SocketEvent => event.kind === 'socket')
    .filter(({ local, remote }) => local.port === port || remote.port === port);
  const ids = new Set(sockets.map(({ connection }) => connection));
  const pieces = all
    .filter((event): event is TlsEvent => event.kind === 'tls' && event.library === 'socket')
    .filter(({ connection }) => ids.has(connection));
  const stream = (direction: string): Buffer => {
    const chosen = pieces.filter((piece) => piece.direction === direction);
    const ends = new Map<bigint, number>();
    for (const { connection, offset, data, missing } of chosen) {
      expect(offset).toBe(ends.get(connection) ?? 0);
      ends.set(connection, offset + data.length + missing);
    }
    return Buffer.concat(chosen.map(({ data }) => data));
  };
  return { summary, send: stream('send'), receive: stream('receive'), sockets };
}

/** What connections have carried, when they ended. */
function contents(sockets: readonly SocketEvent[]): Set<string> {
  return new Set(sockets.flatMap(({ operation, content }) => (operation === 'close' ? [content] : [])));
}

/** As large as a model request with its history may be; no two places alike. */
const body = Buffer.from(Array.from({ length: 60_000 }, (_, i) => `${i} `).join(''));

test.for([
  [
    'sendto and recvfrom',
    [
      'python3',
      '-c',
      'import socket, sys; s = socket.create_connection(("127.0.0.1", int(sys.argv[1]))); s.sendall(sys.stdin.buffer.read()) or s.shutdown(1)\nwhile s.recv(50000): pass',
    ],
  ],
  [
    'write and read',
    [
      'python3',
      '-c',
      'import socket, sys, os; s = socket.create_connection(("127.0.0.1", int(sys.argv[1]))); f = s.makefile("rwb", 0)\nd = sys.stdin.buffer.read()\nwhile d: d = d[os.write(s.fileno(), d):]\ns.shutdown(1)\nwhile os.read(s.fileno(), 50000): pass',
    ],
  ],
  [
    'writev and readv',
    [
      'python3',
      '-c',
      'import socket, sys, os; s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))\nd = sys.stdin.buffer.read()\nwhile d: d = d[os.writev(s.fileno(), [d[:7], b"", d[7:20000], d[20000:90000]]):]\ns.shutdown(1)\nb = [bytearray(11), bytearray(70000)]\nwhile os.readv(s.fileno(), b): pass',
    ],
  ],
  [
    'sendmsg and recvmsg',
    [
      'python3',
      '-c',
      'import socket, sys, os; s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))\nd = sys.stdin.buffer.read()\nwhile d: d = d[s.sendmsg([d[:7], d[7:20000], d[20000:90000]]):]\ns.shutdown(1)\nb = [bytearray(11), bytearray(70000)]\nwhile s.recv(5, socket.MSG_PEEK) and s.recvmsg_into(b)[0]: pass',
    ],
  ],
] as const)('every byte is recorded once, at its place, over %s', async ([, program]) => {
  const request = Buffer.concat([
    Buffer.from(`POST /x HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n`),
    body,
  ]);
  const response = Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n'), body]);
  const received: Buffer[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('data', (bytes) => received.push(bytes));
    socket.on('end', () => socket.end(response));
  });
  const port = await listen(server);
  try {
    const file = join(directory, 'request');
    writeFileSync(file, request);
    const command = ['/bin/sh', '-c', 'exec "$0" "$@" < "$REQUEST"', ...program, String(port)];
    process.env.REQUEST = file;
    const { summary, send, receive, sockets } = await record(command, port);
    expect(summary).toMatchObject({ end_reason: 'target-exit', lost_events: 0 });
    expect(Buffer.concat(received).equals(request)).toBe(true);
    expect(send.equals(request)).toBe(true);
    expect(receive.equals(response)).toBe(true);
    expect(sockets).toMatchObject([
      { operation: 'connect', remote: { address: '127.0.0.1', port }, content: 'unknown', errno: 0 },
      {
        operation: 'close',
        content: 'http',
        sent: request.length,
        received: response.length,
        endedBy: 'here',
      },
    ]);
  } finally {
    delete process.env.REQUEST;
    server.close();
  }
});

test('what is not HTTP of a client is told and not copied', async () => {
  const server = createServer((socket) => socket.end('+PONG\r\n'));
  const port = await listen(server);
  const client = `
import socket
s = socket.create_connection(('127.0.0.1', ${port})); s.sendall(b'*1\\r\\n'); s.recv(100)
l = socket.create_server(('127.0.0.1', 0))
c = socket.create_connection(l.getsockname()); a, _ = l.accept()
c.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n'); a.recv(100); a.sendall(b'HTTP/1.1 204 No Content\\r\\n\\r\\n'); c.recv(100)
try: socket.create_connection(('127.0.0.1', 1))
except OSError: pass
`;
  try {
    const { summary } = await record(['python3', '-c', client], port);
    expect(summary.lost_events).toBe(0);
    const events: EvidenceEvent[] = [];
    for await (const event of readEvidence(join(directory, 'bundle'))) events.push(event);
    const told = events.flatMap((event) =>
      event.kind === 'socket' ? [`${event.operation} ${event.content} ${event.errno}`] : [],
    );
    expect(told.sort()).toEqual([
      'accept unknown 0',
      'close http 0',
      'close none 0',
      'close other 0',
      'close served 0',
      'close unknown 111',
      'connect unknown 0',
      'connect unknown 0',
      'listen none 0',
    ]);
    const copied = events.flatMap((event) =>
      event.kind === 'tls' ? [`${event.direction} ${Buffer.from(event.data).toString('latin1')}`] : [],
    );
    expect(copied).toEqual(['send GET / HTTP/1.1\r\n\r\n', 'receive HTTP/1.1 204 No Content\r\n\r\n']);
  } finally {
    server.close();
  }
});

test('a request is recorded from its first byte on, in whatever pieces it comes and whatever its method is', async () => {
  const server = createServer((socket) => socket.on('error', () => undefined).resume());
  const port = await listen(server);
  // What lies behind a piece in the memory of the client is not of it.
  const client = `
import os, socket, sys
def connect(): return socket.create_connection(('127.0.0.1', ${port}))
def send(s, *pieces):
    for piece in pieces: assert s.send(memoryview(piece + b'\\0\\x16\\3\\1zz*')[:len(piece)]) == len(piece)
s = connect(); send(s, *(bytes([byte]) for byte in b'PUT /1 HTTP/1.1\\r\\n\\r\\n'))
for cut in range(1, 9):
    s = connect(); send(s, b'OPTIONS /2 HTTP/1.1\\r\\n\\r\\n'[:cut], b'OPTIONS /2 HTTP/1.1\\r\\n\\r\\n'[cut:])
s = connect(); os.writev(s.fileno(), [b'', b'', b'G', b'ET /3 HTTP/1.1\\r\\n\\r\\n'])
for method in sys.argv[1:]:
    s = connect(); send(s, method.encode() + b' /4 HTTP/1.1\\r\\n\\r\\n')
`;
  const methods = (
    'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH QUERY PURGE LINK UNLINK SUBSCRIBE NOTIFY M-SEARCH PROPFIND ' +
    'PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH MKCALENDAR ACL BIND VERSION-CONTROL BASELINE-CONTROL'
  ).split(' ');
  try {
    const { summary, send, sockets } = await record(['python3', '-c', client, ...methods], port);
    expect(summary.lost_events).toBe(0);
    expect(summary.other_connections).toEqual([]);
    expect(contents(sockets)).toEqual(new Set(['http']));
    const requests = [
      'PUT /1',
      ...Array.from({ length: 8 }, () => 'OPTIONS /2'),
      'GET /3',
      ...methods.map((method) => `${method} /4`),
    ];
    expect(send.toString()).toBe(requests.map((request) => `${request} HTTP/1.1\r\n\r\n`).join(''));
  } finally {
    server.close();
  }
});

test('a response that is received byte by byte is recorded, also where its request went around memory', async () => {
  const response = 'HTTP/1.1 204 No Content\r\n\r\n';
  const server = createServer((socket) => socket.once('data', () => socket.end(response)));
  const port = await listen(server);
  const client = `
import os, socket, tempfile
f = tempfile.TemporaryFile(); f.write(b'GET / HTTP/1.1\\r\\n\\r\\n'); f.flush()
s = socket.create_connection(('127.0.0.1', ${port})); os.sendfile(s.fileno(), f.fileno(), 0, 18)
while s.recv(1): pass
`;
  try {
    const { receive } = await record(['python3', '-c', client], port);
    expect(receive.toString()).toBe(response);
  } finally {
    server.close();
  }
});

test('other protocols are not taken for HTTP by their first bytes, however few come at first', async () => {
  const server = createServer((socket) => socket.on('error', () => undefined).resume());
  const port = await listen(server);
  const client = `
import os, socket
def connect(): return socket.create_connection(('127.0.0.1', ${port}))
for first in (b'*1\\r\\n', b'PING\\r\\n', b'SSH-2.0-x', b'AMQP\\0\\0\\t\\1', b'get x\\r\\n', b'CONNECT\\n', b' /', b'-ERR', b'G\\0', b'\\x05\\0\\0\\0\\1',
              b'\\4\\0\\0\\0\\1', b'JDWP-Handshake', b'\\x16\\2\\1\\0', b'\\x15'):
    s = connect(); s.sendall(first); s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')
for pieces in ([b'\\x16', b'\\3', b'\\1\\0'], [b'\\x16\\3', b'\\1\\0']):
    s = connect()
    for piece in pieces: s.sendall(piece)
`;
  try {
    const { summary, send, sockets } = await record(['python3', '-c', client], port);
    expect(send.toString()).toBe('');
    expect(summary.other_connections).toMatchObject([{ connections: 14 }]);
    const told = sockets.filter(({ operation }) => operation === 'close').map(({ content }) => content);
    expect(told).toEqual([...Array.from({ length: 14 }, () => 'other'), 'tls', 'tls']);
  } finally {
    server.close();
  }
});

describe('behind a SOCKS proxy', () => {
  let far: Server;
  let proxy: Server;
  let port: number;
  const client = (program: string): string[] => [
    'python3',
    '-c',
    `
import socket, struct
def connect(): return socket.create_connection(('127.0.0.1', ${port}))
def receive(s, length):
    while length: length -= len(s.recv(1))
def greet(s, *pieces):
    for piece in pieces: s.sendall(piece)
    receive(s, 2)
far = struct.pack('>H', ${(far.address() as AddressInfo).port})
def ask(s):
    s.sendall(b'\\5\\1\\0\\3\\x09127.0.0.1' + far); receive(s, 10)
    return s
def version5(*pieces):
    s = connect(); greet(s, *pieces)
    return ask(s)
def version4():
    s = connect(); s.sendall(b'\\4\\1' + far + bytes([127, 0, 0, 1]) + b'me\\0'); receive(s, 8)
    return s
def fetch(s, path):
    s.sendall(b'GET ' + path + b' HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n')
    while s.recv(100): pass
${program}`,
  ];

  beforeEach(async () => {
    far = createServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 204 No Content\r\n\r\n')));
    proxy = socksProxy();
    await listen(far);
    port = await listen(proxy);
  });

  afterEach(() => {
    far.close();
    proxy.close();
  });

  test('HTTP is recorded from its first byte on, whatever the handshake is', async () => {
    const { summary, send, receive, sockets } = await record(
      client(`
fetch(version5(b'\\5\\1\\0'), b'/plain')
fetch(version5(b'\\5', b'\\1', b'\\0'), b'/split')
fetch(version5(b'\\5\\2', b'\\0\\2'), b'/halved')
s = connect(); greet(s, b'\\5\\1\\2'); greet(s, b'\\1\\4user\\6secret'); fetch(ask(s), b'/known')
fetch(version4(), b'/old')
`),
      port,
    );
    const paths = ['/plain', '/split', '/halved', '/known', '/old'];
    expect(send.toString()).toBe(
      paths.map((path) => `GET ${path} HTTP/1.1\r\nConnection: close\r\n\r\n`).join(''),
    );
    expect(receive.toString()).toBe(paths.map(() => 'HTTP/1.1 204 No Content\r\n\r\n').join(''));
    expect(contents(sockets)).toEqual(new Set(['http']));
    expect(summary.other_connections).toEqual([]);
  });

  test('TLS is seen, and the connection that carries it is known', async () => {
    const { key, certificate } = createServerIdentity();
    const server = createHttpsServer({ key, cert: certificate }, (_, response) => response.end('seen'));
    far.close();
    far = server;
    await listen(far);
    try {
      const { summary, sockets, send } = await record(
        client(`
import ssl
context = ssl._create_unverified_context()
for s in (version5(b'\\5\\1\\0'), version4()): fetch(context.wrap_socket(s), b'/secret')
`),
        port,
      );
      const ends = sockets.filter(({ operation }) => operation === 'close');
      expect(ends.map(({ content, carries }) => [content, carries !== 0n])).toEqual([
        ['tls', true],
        ['tls', true],
      ]);
      expect(send.length).toBe(0);
      expect(summary.unseen_tls).toEqual([]);
    } finally {
      server.closeAllConnections();
    }
  });

  test('what is neither is counted, and so is a handshake that never ends', async () => {
    const { summary, send, sockets } = await record(
      client(`
s = version5(b'\\5\\1\\0'); s.sendall(b'SSH-2.0-x\\r\\n'); s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')
s = version5(b'\\5\\1\\0')
for _ in range(9): s.sendall(b'\\1\\0\\0')
s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')
s = connect(); s.sendall(b'\\5\\1\\0'); s.close()
`),
      port,
    );
    expect(send.length).toBe(0);
    expect(contents(sockets)).toEqual(new Set(['other']));
    expect(summary.other_connections).toMatchObject([{ connections: 3 }]);
  });
});

test('what goes around memory or in lists of messages is counted, in both directions', async () => {
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: 1500\r\n\r\n${'x'.repeat(1500)}`;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    let received = 0;
    socket.on('data', (bytes) => {
      received += bytes.length;
      if (received === 1030) socket.end(answer);
    });
  });
  const port = await listen(server);
  const client = `
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
class Vector(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
class Message(ctypes.Structure):
    _fields_ = [('name', ctypes.c_void_p), ('name_length', ctypes.c_uint), ('vectors', ctypes.POINTER(Vector)), ('count', ctypes.c_size_t),
                ('control', ctypes.c_void_p), ('control_length', ctypes.c_size_t), ('flags', ctypes.c_size_t), ('length', ctypes.c_size_t)]
def listed(*buffers):
    messages = (Message * len(buffers))()
    for message, buffer in zip(messages, buffers):
        message.vectors = ctypes.pointer(Vector(ctypes.cast(buffer, ctypes.c_void_p), len(buffer)))
        message.count = 1
    return messages
s = socket.create_connection(('127.0.0.1', ${port}))
head = ctypes.create_string_buffer(b'POST / HTTP/1.1\\r\\n', 17)
rest = ctypes.create_string_buffer(b'Content-Length: 1000\\r\\n\\r\\n'[:13], 13)
assert libc.sendmmsg(s.fileno(), listed(head, rest), 2, 0) == 2
r, w = os.pipe()
os.write(w, bytes(1000))
assert os.splice(r, s.fileno(), 1000) == 1000
into = ctypes.create_string_buffer(500)
s.recv(1, socket.MSG_PEEK)
assert libc.recvmmsg(s.fileno(), listed(into), 1, 0, None) == 1
while os.splice(s.fileno(), w, 10000): pass
`;
  try {
    const { summary, send, receive } = await record(['python3', '-c', client], port);
    expect(summary.counters.socket_opaque).toBeGreaterThanOrEqual(4);
    expect([send.length, receive.length]).toEqual([0, 0]);
    const missing = { send: 0, receive: 0 };
    for await (const event of readEvidence(join(directory, 'bundle'))) {
      if (event.kind === 'tls') missing[event.direction] += event.missing;
    }
    expect(missing).toEqual({ send: 1030, receive: answer.length });
  } finally {
    server.close();
  }
});

test('a tunnel through a proxy is recorded up to where TLS begins in it', async () => {
  const hello = Buffer.concat([Buffer.from([0x16, 3, 1, 1, 0, 1]), Buffer.alloc(255)]);
  const server = createServer((socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.once('data', () => socket.end(hello));
    });
  });
  const port = await listen(server);
  const client = `
import socket
s = socket.create_connection(('127.0.0.1', ${port})); s.sendall(b'CONNECT far:443 HTTP/1.1\\r\\n\\r\\n'); s.recv(100)
s.sendall(bytes([0x16, 3, 1, 1, 0, 1]) + bytes(255))
while s.recv(1000): pass
`;
  try {
    const { send, receive, sockets } = await record(['python3', '-c', client], port);
    expect(send.toString()).toBe('CONNECT far:443 HTTP/1.1\r\n\r\n');
    expect(receive.toString()).toBe('HTTP/1.1 200 Connection established\r\n\r\n');
    expect(sockets.at(-1)).toMatchObject({ operation: 'close', content: 'tls' });
  } finally {
    server.close();
  }
});

test('who ends a connection is told: the server, a broken connection, the client', async () => {
  const server = createHttpServer((request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('half');
    if (request.url === '/cut') setTimeout(() => request.socket.end(), 50);
    if (request.url === '/reset') setTimeout(() => request.socket.resetAndDestroy(), 50);
  });
  const port = await listen(server);
  const client = `
import socket, time
for path, waits in (('cut', True), ('reset', True), ('left', False)):
    s = socket.create_connection(('127.0.0.1', ${port}))
    s.sendall(b'GET /' + path.encode() + b' HTTP/1.1\\r\\nHost: here\\r\\n\\r\\n')
    try:
        s.recv(1000)
        while waits and s.recv(1000): pass
    except OSError: pass
    time.sleep(0.05)
    s.close()
`;
  try {
    const { sockets } = await record(['python3', '-c', client], port);
    const ends = sockets.filter(({ operation }) => operation === 'close');
    expect(ends.map(({ endedBy, errno }) => [endedBy, errno])).toEqual([
      ['there', 0],
      ['there', 104],
      ['here', 0],
    ]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
