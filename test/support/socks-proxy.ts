// A SOCKS proxy on loopback, of versions 4 and 5, that lets everybody in. It sends its replies byte by byte.

import { createConnection, createServer, type Server, type Socket } from 'node:net';

/** What a client says in a handshake, whole; undefined while more of it has to come. */
type Message = { length: number; reply: Buffer; port?: number } | undefined;

export function socksProxy(): Server {
  return createServer((client) => {
    let said = Buffer.alloc(0);
    let isGreeted = false;
    client.setNoDelay(true).on('error', () => undefined);
    client.on('data', function take(bytes) {
      said = Buffer.concat([said, bytes]);
      for (let message = read(said, isGreeted); message !== undefined; message = read(said, isGreeted)) {
        const { length, reply, port } = message;
        said = said.subarray(length);
        isGreeted = true;
        for (const byte of reply) client.write(Buffer.from([byte]));
        if (port === undefined) continue;
        client.off('data', take);
        relay(client, port, said);
        return;
      }
    });
  });
}

function read(said: Buffer, isGreeted: boolean): Message {
  const [version, second = 0, , type] = said;
  switch (version) {
    case 1: {
      const length = 3 + second + (said[2 + second] ?? 0);
      return whole(said, { length, reply: Buffer.from([1, 0]) });
    }
    case 4: {
      const end = said.indexOf(0, 8) + 1;
      if (end === 0) return undefined;
      return { length: end, reply: Buffer.from([0, 90, 0, 0, 0, 0, 0, 0]), port: said.readUInt16BE(2) };
    }
    case 5: {
      if (!isGreeted) {
        const method = said.subarray(2).includes(2) && !said.subarray(2).includes(0) ? 2 : 0;
        return whole(said, { length: 2 + second, reply: Buffer.from([5, method]) });
      }
      const address = type === 1 ? 4 : type === 4 ? 16 : 1 + (said[4] ?? 0);
      const length = 6 + address;
      if (said.length < length) return undefined;
      const reply = Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
      return { length, reply, port: said.readUInt16BE(length - 2) };
    }
    default:
      return undefined;
  }
}

function whole(said: Buffer, message: { length: number; reply: Buffer }): Message {
  return said.length < Math.max(2, message.length) ? undefined : message;
}

function relay(client: Socket, port: number, early: Buffer): void {
  const far = createConnection({ host: '127.0.0.1', port });
  far.on('error', () => client.destroy());
  far.write(early);
  client.pipe(far).pipe(client);
}
