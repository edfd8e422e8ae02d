// Appends TLS events of growing offset until it is killed. Arguments: bundle directory, bytes per event.
import { EvidenceWriter } from '../../dist/evidence/writer.js';

const [bundle, size] = process.argv.slice(2);
const data = Buffer.alloc(Number(size), 'x');
const common = { pid: 1, tid: 1, comm: 'codex', rootPid: 1 };
const writer = new EvidenceWriter(bundle, { segmentBytes: 4 << 20, checkpointBytes: 1 << 20 });
writer.append({
  kind: 'capture-start',
  ...common,
  timeNs: 1n,
  formatVersion: 1,
  agsightVersion: '',
  hostname: '',
  kernel: '',
  arch: '',
  bootId: '',
  monotonicNs: 1n,
  realtimeNs: 1n,
  salt: Buffer.alloc(32),
  targetPids: [],
  recorded: ['processes', 'tls'],
  command: [],
});
for (let count = 0; ; count++) {
  writer.append({
    kind: 'tls',
    ...common,
    timeNs: BigInt(count),
    direction: 'send',
    library: 'openssl',
    connection: 1n,
    offset: count * data.length,
    data,
    missing: 0,
  });
  if (count % 50 === 0) writer.flush();
}
