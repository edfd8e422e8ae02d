// Node's own HTTP/2 client and server in one process, with all bytes that they exchange. Also frames made by hand.

import { createServer, connect as http2Connect, type ServerHttp2Stream, type Settings } from 'node:http2';
import { Duplex } from 'node:stream';

/** One end of a connection; what is written to it is read at the other end. */
class End extends Duplex {
  readonly written: Buffer[] = [];
  peer: End | undefined;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written.push(Buffer.from(chunk));
    this.peer?.push(chunk);
    done();
  }

  override _final(done: () => void): void {
    this.peer?.push(null);
    done();
  }

  override _read(): void {}
}

export interface Exchange {
  path: string;
  headers: Record<string, string>;
  body: Buffer;
  answer: { status: number; headers: Record<string, string>; body: Buffer; trailers: Record<string, string> };
}

export interface PeerOptions {
  /** Of both sides. */
  headerTableSize?: number;
  paddingStrategy?: number;
  push?: boolean;
}

/** What crossed the connection, in the pieces in which it was written. */
export interface Recorded {
  sent: Buffer[];
  received: Buffer[];
}

/** All exchanges at once on one connection. */
export async function exchange(exchanges: readonly Exchange[], options: PeerOptions = {}): Promise<Recorded> {
  const { headerTableSize, paddingStrategy, push = false } = options;
  const settings: Settings = headerTableSize === undefined ? {} : { headerTableSize };
  const common = { settings, ...(paddingStrategy === undefined ? {} : { paddingStrategy }) };
  const [client, server] = [new End(), new End()];
  client.peer = server;
  server.peer = client;

  const http2Server = createServer(common);
  http2Server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const found = exchanges.find(({ path }) => path === headers[':path']);
    if (found === undefined) return stream.close();
    const { status, headers: fields, body, trailers } = found.answer;
    stream.resume().on('end', () => {
      if (push) {
        stream.pushStream({ ':path': '/pushed' }, (_, pushed) => {
          pushed.respond();
          pushed.end('pushed');
        });
      }
      const waitForTrailers = Object.keys(trailers).length > 0;
      stream.respond({ ':status': status, ...fields }, { waitForTrailers });
      if (waitForTrailers) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
      stream.end(body);
    });
  });
  http2Server.emit('connection', server);
  const session = http2Connect('http://peer', { ...common, createConnection: () => client });
  session.on('stream', (pushed) => pushed.resume());
  await Promise.all(
    exchanges.map(
      ({ path, headers, body }) =>
        new Promise<void>((resolve, reject) => {
          const stream = session.request({ ':method': 'POST', ':path': path, ...headers });
          stream.on('error', reject);
          stream.resume().on('end', resolve).end(body);
        }),
    ),
  );
  await new Promise<void>((resolve) => session.close(resolve));
  return { sent: client.written, received: server.written };
}

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array | string = '',
): Buffer {
  const bytes = Buffer.from(payload);
  const header = Buffer.alloc(9);
  header.writeUIntBE(bytes.length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, bytes]);
}

/** A header block of literal fields; they are not added to the table. */
export function literalFields(fields: Record<string, string>): Buffer {
  const text = (value: string): Buffer[] => {
    const bytes = Buffer.from(value);
    const length = bytes.length < 127 ? [bytes.length] : [127, ...sevenBits(bytes.length - 127)];
    return [Buffer.from(length), bytes];
  };
  return Buffer.concat(
    Object.entries(fields).flatMap(([name, value]) => [Buffer.from([0]), ...text(name), ...text(value)]),
  );
}

function sevenBits(value: number): number[] {
  return value < 128 ? [value] : [(value & 0x7f) | 0x80, ...sevenBits(value >> 7)];
}
