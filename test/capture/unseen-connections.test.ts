import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { identity } from '../../src/capture/probed-binaries.js';
import { UnseenConnections } from '../../src/capture/unseen-connections.js';
import { type BinaryReport, inspectBinary } from '../../src/elf/binary.js';
import { linkedTlsLibraries } from '../../src/elf/linked-libraries.js';
import type { TlsLibrary } from '../../src/elf/tls-library.js';
import type { SocketEvent } from '../../src/evidence/event.js';
import { tlsEvent } from '../evidence/bundle.js';
import { requireThat } from '../support/requirements.js';
import { execEvent, socketEvent } from '../support/wire.js';

const go: TlsLibrary = {
  library: 'crypto/tls',
  version: null,
  tier: null,
  confidence: null,
  functions: [],
  offsets: null,
};
const openssl: TlsLibrary = {
  library: 'openssl',
  version: '3.6.4',
  tier: 'symbol',
  confidence: 'high',
  functions: [{ name: 'ssl_read', isEx: true, offset: 1, confidence: 'high' }],
  offsets: { ssl_write: 1, ssl_read: 1, ssl_do_handshake: null, write_is_ex: true, read_is_ex: true },
};

/** A connection of this very process, whose program can be looked at. */
function connection(changes: Partial<SocketEvent> = {}): SocketEvent {
  return socketEvent(1n, {
    pid: process.pid,
    tid: process.pid,
    rootPid: process.pid,
    operation: 'close',
    connection: 0n,
    content: 'tls',
    sent: 600,
    received: 4000,
    ...changes,
  });
}

describe.runIf(process.platform === 'linux')('TLS that no probe sees into', () => {
  const own = identity(process.execPath);
  const report = inspectBinary(process.execPath, { order: ['symbol'] });

  function watch(
    tls: TlsLibrary[],
    events: readonly Parameters<UnseenConnections['take']>[0][],
    lateMs?: number,
    probed: readonly string[] = [],
  ) {
    const known: BinaryReport = { ...report, tls };
    const unseen = new UnseenConnections({
      reportOf: (file) => (file === own || probed.includes(file) ? known : undefined),
      lateIn: () => (lateMs === undefined ? undefined : { library: 'openssl', ms: lateMs, untilNs: 1000n }),
    });
    for (const event of events) unseen.take(event);
    return unseen.all;
  }

  it('is summed up by program, with what is known of the reason', () => {
    const other = connection({ remote: { address: '::1', port: 8443 } });
    expect(
      watch([go], [connection({ operation: 'connect', content: 'unknown' }), connection(), other]),
    ).toEqual([
      {
        program: process.execPath,
        connections: 2,
        bytes: 9200,
        remotes: ['127.0.0.1:443', '::1:8443'],
        libraries: [
          {
            library: 'crypto/tls',
            version: null,
            reason: 'its functions were not found',
            remedy: expect.any(String),
          },
        ],
      },
    ]);
  });

  it.each([
    ['its plaintext was seen', { carries: 5n }],
    ['it is not TLS', { content: 'http' }],
    ['nothing was answered', { received: 0 }],
    ['it goes on', { operation: 'connect' }],
  ] as const)('is none where %s', (_, changes) => {
    expect(watch([go], [connection(changes)])).toEqual([]);
  });

  it('is none in a program whose TLS is probed: there, a connection without plaintext broke before it had any', () => {
    expect(watch([openssl], [connection()])).toEqual([]);
    expect(watch([openssl, go], [connection()])).toMatchObject([{ libraries: [{ library: 'crypto/tls' }] }]);
  });

  it('is told of a program that was probed while it was at it', () => {
    expect(watch([openssl], [connection()], 12)).toMatchObject([
      { libraries: [{ library: 'openssl', reason: expect.stringContaining('12 ms') }] },
    ]);
    expect(watch([openssl], [connection({ carries: 5n })], 12)).toEqual([]);
    const begun = (timeNs: bigint) => connection({ operation: 'connect', content: 'unknown', timeNs });
    expect(watch([openssl], [begun(999n), connection()], 12)).toHaveLength(1);
    expect(watch([openssl], [begun(1000n), connection()], 12)).toEqual([]);
  });

  it('is told of a library whose calls go around the probes: more was moved than a handshake takes, and none was seen', () => {
    const around = { libraries: [{ library: 'openssl', reason: expect.stringContaining('BIO_read') }] };
    expect(watch([openssl], [connection({ received: 20_000 })])).toMatchObject([around]);
    expect(watch([openssl], [connection({ sent: 9000 })])).toMatchObject([around]);
    const spoken = tlsEvent(0, Buffer.from('GET'), { pid: process.pid });
    expect(watch([openssl], [spoken, connection({ received: 20_000 })])).toEqual([]);
    const replaced = execEvent(1n, { pid: process.pid, execPath: process.execPath });
    expect(watch([openssl], [spoken, replaced, connection({ received: 20_000 })])).toMatchObject([around]);
  });

  it('is told of a program that ended before its library could be probed', (context) => {
    const linked = ['/usr/bin/curl', '/usr/bin/wget', '/usr/bin/openssl'].find(
      (path) => existsSync(path) && linkedTlsLibraries(path).length > 0,
    );
    requireThat(linked !== undefined, 'needs curl, wget or openssl', context);
    if (linked === undefined) return;
    const gone = { pid: 2 ** 22 + 1 };
    const events = [execEvent(1n, { ...gone, execPath: linked }), connection(gone)];
    expect(watch([], events)).toMatchObject([
      { program: linked, libraries: [{ reason: expect.stringContaining('had ended before') }] },
    ]);
    const probed = linkedTlsLibraries(linked).map(identity);
    expect(watch([openssl], events, undefined, probed)).toEqual([]);
  });

  it('is told of processes that are gone and of programs that nobody knows', () => {
    const gone = { pid: 2 ** 22 + 1 };
    const started = execEvent(1n, { ...gone, execPath: process.execPath });
    expect(watch([go], [started, connection(gone)])).toMatchObject([
      { program: process.execPath, libraries: [{ library: 'crypto/tls' }] },
    ]);
    expect(watch([go], [connection({ ...gone, comm: 'short' })])).toMatchObject([
      { program: 'short', libraries: [] },
    ]);
  });
});

describe.runIf(process.platform === 'linux')('what is neither TLS nor HTTP', () => {
  it('is counted by program when its connections end, and is no unseen TLS', () => {
    const unseen = new UnseenConnections({ reportOf: () => undefined, lateIn: () => undefined });
    for (const content of ['other', 'http', 'other'] as const) unseen.take(connection({ content }));
    unseen.take(connection({ content: 'other', operation: 'open' }));
    expect(unseen.all).toEqual([]);
    expect(unseen.others).toEqual([
      { program: process.execPath, connections: 2, bytes: 9200, remotes: [expect.any(String)] },
    ]);
  });
});
