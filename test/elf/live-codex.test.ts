// Probes at the offsets that the pattern tier alone finds, on Codex at work: the bytes of its request and of the
// response must pass through them. Two releases; more with `npm run test:offsets`.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { KernelProgram } from '../../src/bpf/kernel-program.js';
import { Cookie, layout, RecordType, TlsFlag } from '../../src/bpf/record.js';
import { RecordReader } from '../../src/bpf/record-reader.js';
import { inspectBinary } from '../../src/elf/binary.js';
import { prepareCodexRun } from '../support/codex-run.js';
import { demoPrompt, demoSteps, demoWorkspace } from '../support/demo-script.js';
import { startMockResponses } from '../support/mock-responses.js';
import { requireCodex, requireRoot } from '../support/requirements.js';

const always = process.arch === 'x64' ? ['0.141.0', '0.169.0'] : ['0.110.0', '0.169.0'];
const others = process.arch === 'x64' ? ['0.50.0', '0.100.0', '0.130.0', '0.160.0'] : [];
const versions = process.env.AGSIGHT_TEST_OFFSETS === 'all' ? [...always, ...others] : always;
const ringBytes = 1 << 24;
const directory = mkdtempSync(join(tmpdir(), 'agsight-live-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What passed through the probes in each direction, as one text. */
function drain(program: KernelProgram): { sent: string; received: string } {
  const buffer = Buffer.alloc(ringBytes);
  const sent: Buffer[] = [];
  const received: Buffer[] = [];
  new RecordReader(buffer).forEach(program.drain(buffer), (record) => {
    if (record.type !== RecordType.tls) return;
    const data = record.bytes(layout.tls.data, record.uint32(layout.dataLength));
    const isReceived = (record.uint16(layout.flags) & TlsFlag.receive) !== 0;
    (isReceived ? received : sent).push(data);
  });
  return {
    sent: Buffer.concat(sent).toString('latin1'),
    received: Buffer.concat(received).toString('latin1'),
  };
}

describe('probes where the pattern tier puts them', () => {
  beforeEach(requireRoot);

  it.for(versions)('see Codex %s talk', { timeout: 600_000 }, async (version, context) => {
    const codex = await requireCodex(version, context);
    const { tls } = inspectBinary(codex, { tier: 'pattern', table: { entries: [], problems: [] } });
    const functions = tls.flatMap((library) => library.functions).filter(({ isEx }) => isEx);
    expect(functions).toHaveLength(2);

    const server = await startMockResponses(demoSteps);
    const program = await KernelProgram.load(ringBytes);
    try {
      program.follow(process.pid, process.pid);
      program.attach(
        codex,
        functions.map(({ name, offset }) => ({
          offset,
          cookie: Cookie.ex | (name === 'ssl_read' ? Cookie.receive : 0),
          atReturn: true,
        })),
      );
      const { command, env, apiKey } = prepareCodexRun({
        codex,
        directory: join(directory, version),
        server,
        prompt: demoPrompt,
        workspace: demoWorkspace,
      });
      const [file = '', ...args] = command;
      await once(spawn(file, args, { env, stdio: 'ignore' }), 'exit');

      const { sent, received } = drain(program);
      expect(sent).toMatch(/^POST \/v1\/responses HTTP\/1\.1\r\n/m);
      expect(sent).toContain(apiKey);
      expect(received).toMatch(/^HTTP\/1\.1 200/m);
      expect(received).toContain('response.completed');
    } finally {
      program.close();
      await server.close();
    }
  });
});
