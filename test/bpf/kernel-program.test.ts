import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { KernelProgram, type Probe } from '../../src/bpf/kernel-program.js';
import { Cookie, layout, muchOfRing, RecordType } from '../../src/bpf/record.js';
import { RecordReader } from '../../src/bpf/record-reader.js';
import { loadShim } from '../../src/bpf/shim.js';
import { inspectBinary } from '../../src/elf/binary.js';
import { requireRoot, requireThat } from '../support/requirements.js';
import { buildTlsGenerator, generatedBytes } from '../support/tls-generator.js';

const generator = buildTlsGenerator();
const ringBytes = 1 << 20;

beforeEach(requireRoot);

/** Probes on SSL_write_ex and SSL_read_ex of the generator. */
function probes(): Probe[] {
  const functions = inspectBinary(generator).tls.flatMap((stack) => stack.functions);
  return functions
    .filter(({ isEx }) => isEx)
    .map(({ name, offset }) => ({
      offset,
      cookie: Cookie.ex | (name === 'ssl_read' ? Cookie.receive : 0),
      atReturn: true,
    }));
}

async function run(script: string): Promise<void> {
  await once(spawn(generator, [script]), 'exit');
}

/** Data lengths of the TLS records in the ring. */
function drainedLengths(program: KernelProgram): number[] {
  const buffer = Buffer.alloc(ringBytes);
  const lengths: number[] = [];
  new RecordReader(buffer).forEach(program.drain(buffer), (record) => {
    if (record.type === RecordType.tls) lengths.push(record.uint32(layout.dataLength));
  });
  return lengths;
}

test.for(['uprobe_multi', 'perf'] as const)(
  'probes attached by %s fire at entry and return',
  async (kind, context) => {
    requireThat(kind === 'perf' || loadShim().hasUprobeMulti(), 'needs Linux 6.6 or newer', context);
    const program = await KernelProgram.load(ringBytes, { attachKind: kind });
    try {
      program.follow(process.pid, process.pid);
      const links = program.attach(generator, probes());
      await run('w100,r200,w300');
      expect(drainedLengths(program)).toEqual([100, 200, 300]);

      program.detach(links);
      await run('w100');
      expect(drainedLengths(program)).toEqual([]);
    } finally {
      program.close();
    }
  },
);

test('probes that have ended are off their functions, those of several attachments at once', async () => {
  const program = await KernelProgram.load(ringBytes);
  try {
    program.follow(process.pid, process.pid);
    const [write = [], read = []] = [probes().slice(0, 1), probes().slice(1)];
    program.attach(generator, write);
    program.attach(generator, read);
    await program.endProbes();
    await run('w100,r200,w300');
    expect(drainedLengths(program)).toEqual([]);

    program.attach(generator, probes());
    await run('w100');
    expect(drainedLengths(program)).toEqual([100]);
  } finally {
    await program.release();
  }
});

interface SeenRecord {
  receive: boolean;
  offset: bigint;
  length: number;
  additional: string;
  /** Whether the bytes are those that the generator seals there. */
  right: boolean;
}

/** What passes through AEAD functions of the generator, by their names with flags, while it runs `script`. */
async function sealedAndOpened(functions: Readonly<Record<string, number>>, script: string) {
  const symbols = execFileSync('nm', [generator], { encoding: 'utf8' });
  const probes = Object.entries(functions).map(([name, flags]): Probe => {
    const address = new RegExp(`^([0-9a-f]+) T ${name}$`, 'm').exec(symbols)?.[1] ?? '';
    const atReturn = (flags & Cookie.receive) !== 0;
    return { offset: Number.parseInt(address, 16), cookie: Cookie.aead | flags, atReturn };
  });
  const program = await KernelProgram.load(ringBytes);
  try {
    program.follow(process.pid, process.pid);
    program.attach(generator, probes);
    await run(script);
    const buffer = Buffer.alloc(ringBytes);
    const seen: SeenRecord[] = [];
    new RecordReader(buffer).forEach(program.drain(buffer), (record) => {
      if (record.type !== RecordType.tls) return;
      const length = record.uint32(layout.dataLength);
      const offset = record.uint64(layout.tls.offset);
      const additional = record.bytes(layout.tls.additional, record.uint32(layout.tls.additionalLength));
      seen.push({
        receive: (record.uint16(layout.flags) & 1) === 1,
        offset,
        length,
        additional: additional.toString('hex'),
        right: record.bytes(layout.tls.data, length).equals(generatedBytes('send', Number(offset), length)),
      });
    });
    return seen;
  } finally {
    program.close();
  }
}

test('what an AEAD seals is read before the call and what it opens after it, with the additional data', async () => {
  const functions = {
    EVP_AEAD_CTX_seal: 0,
    EVP_AEAD_CTX_open: Cookie.receive,
    EVP_AEAD_CTX_seal_scatter: Cookie.scatter,
  };
  const seen = await sealedAndOpened(functions, 'a16400,A100,t16384');
  const tls13 = { offset: 0n, length: 16400, additional: '1703031234', right: true };
  const tls12 = { offset: 16400n, length: 100, additional: '17030312340506071703035678', right: true };
  const scattered = { ...tls12, offset: 16500n, length: 16384 };
  expect(seen).toEqual([
    { receive: false, ...tls13 },
    { receive: true, ...tls13 },
    { receive: false, ...tls12 },
    { receive: true, ...tls12 },
    { receive: false, ...scattered },
    { receive: true, ...scattered },
  ]);
});

test("ring's functions are read as Rust calls them, and what fails to open is not", async () => {
  const functions = { aes_gcm_seal: Cookie.ring, aes_gcm_open: Cookie.ring | Cookie.receive };
  const seen = await sealedAndOpened(functions, 'g16400,g1');
  const first = { offset: 0n, length: 16400, additional: '1703031234', right: true };
  const second = { offset: 16400n, length: 1, additional: '1703031234', right: true };
  expect(seen).toEqual([
    { receive: false, ...first },
    { receive: true, ...first },
    { receive: false, ...second },
    { receive: true, ...second },
  ]);
});

test('processes that are not followed leave nothing in the ring', async () => {
  const program = await KernelProgram.load(ringBytes);
  try {
    program.attach(generator, probes());
    await run('w100,x0');
    program.follow(process.pid, process.pid);
    program.unfollow(process.pid);
    await run('w100,x0');
    expect(program.drain(Buffer.alloc(ringBytes))).toBe(0);
    expect(program.counters()).toMatchObject({ records: 0 });
  } finally {
    program.close();
  }
});

test('the first record wakes whoever waits, those behind it only when they are many, and then at once', async () => {
  const program = await KernelProgram.load(ringBytes);
  try {
    program.attach(generator, probes());
    program.follow(process.pid, process.pid);
    await run('w100,x0');
    program.drainNotices();
    await program.wait(1000);
    expect(program.pending).toBeGreaterThan(0);
    let hasWoken = false;
    const waiting = program.wait(1000).then(() => {
      hasWoken = true;
    });
    program.ignore(statSync(generator));
    await run('w100,x0');
    await delay(200);
    expect(hasWoken).toBe(false);
    await waiting;
    // A fifth of what comes until the wait would end by itself is much.
    const slow = run(Array.from({ length: 20 }, () => 'w16384,s50').join());
    await program.wait(1000);
    const { pending } = program;
    await slow;
    expect(pending * muchOfRing).toBeGreaterThanOrEqual(ringBytes);
    expect(pending).toBeLessThan(program.pending / 2);
  } finally {
    program.close();
  }
});

test('a wait ends with a pause after records, not with what waits for nothing', async () => {
  const program = await KernelProgram.load(ringBytes);
  try {
    program.attach(generator, probes());
    program.follow(process.pid, process.pid);
    program.ignore(statSync(generator));
    expect(await program.wait(300, 100)).toBe('over');
    const writing = run(Array.from({ length: 60 }, () => 'w100,s20').join());
    expect(await program.wait(1000, 100)).toBe('woken');
    expect(await program.wait(900, 500)).toBe('over');
    await writing;
    expect(await program.wait(1000, 100)).toBe('paused');
    expect(await program.wait(50, 100)).toBe('over');
    expect(drainedLengths(program)).toHaveLength(60);
  } finally {
    program.close();
  }
});

test('a ring that is touched ahead holds nothing new, loses nothing and wakes as before', async () => {
  const program = await KernelProgram.load(ringBytes);
  try {
    program.attach(generator, probes());
    program.follow(process.pid, process.pid);
    // Whoever waits shall be woken by records alone.
    program.ignore(statSync(generator));
    program.touchAhead();
    expect(program.drain(Buffer.alloc(ringBytes))).toBe(0);
    expect(program.pending).toBe(0);
    // Half of the time that the wait would last by itself.
    const woken = Promise.race([program.wait(1000).then(() => true), delay(500, false)]);
    await run('w100,x0');
    expect(await woken).toBe(true);
    program.touchAhead();
    expect(drainedLengths(program)).toEqual([100]);
    // Around the end of the ring.
    for (let pass = 0; pass < 10; pass++) {
      await run('w16384,w16384,w16384,w16384,w16384,w16384,w16384,w16384,x0');
      program.touchAhead();
      expect(drainedLengths(program)).toEqual(Array.from({ length: 8 }, () => 16384));
    }
    expect(program.counters()).toMatchObject({ tls_ring_full: 0, process_ring_full: 0 });
  } finally {
    program.close();
  }
});

test('a program that is to be ignored is announced no more, and the end of a root is', async () => {
  const program = await KernelProgram.load(ringBytes);
  const announced = () => {
    const { pid = 0 } = spawnSync('/bin/sh', ['-c', ':']);
    const notices = program.drainNotices().filter((notice) => notice.pid === pid);
    return notices.map(({ of }) => of);
  };
  try {
    program.follow(process.pid, process.pid);
    expect(announced()).toEqual(['program']);
    program.ignore(statSync('/bin/sh'));
    expect(announced()).toEqual([]);
    const child = spawn('/bin/sh', ['-c', 'read x']);
    program.follow(child.pid ?? 0, child.pid ?? 0);
    child.stdin.end('\n');
    await once(child, 'exit');
    const ends = program.drainNotices().filter(({ of }) => of === 'end');
    expect(ends).toMatchObject([{ pid: child.pid, rootPid: child.pid }]);
  } finally {
    program.close();
  }
});

test('waiting ends when the program is closed, and a closed program says so', async () => {
  const program = await KernelProgram.load(ringBytes);
  const waiting = program.wait();
  program.close();
  expect(await waiting).toBe('closed');
  expect(() => program.drain(Buffer.alloc(100))).toThrow('closed');
  program.close();
});

test('a file that does not hold the function is refused with its name', async () => {
  const program = await KernelProgram.load(ringBytes);
  try {
    expect(() => program.attach('/no/such/file', probes())).toThrow(/^\/no\/such\/file: cannot probe it: /);
  } finally {
    program.close();
  }
});

const module = new URL('../../dist/bpf/kernel-program.js', import.meta.url).href;

test('the process can exit while it waits', () => {
  const script = `
    const { KernelProgram } = await import('${module}');
    const program = await KernelProgram.load(${ringBytes});
    void program.wait();
    setTimeout(() => process.exit(7), 50);`;
  const { status, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    timeout: 20_000,
  });
  expect({ status, signal }).toEqual({ status: 7, signal: null });
});

test.each([
  ['loads', 'setTimeout(() => parentPort.postMessage(0), 20); await loading;'],
  ['waits', 'void (await loading).wait(); parentPort.postMessage(0);'],
])('a worker can be ended while it %s', (_, busy) => {
  const script = `
    import { Worker } from 'node:worker_threads';
    const worker = new Worker(\`
      Promise.all([import('${module}'), import('node:worker_threads')]).then(async ([{ KernelProgram }, { parentPort }]) => {
        const loading = KernelProgram.load(${ringBytes});
        ${busy}
      });\`, { eval: true });
    worker.once('message', async () => { await worker.terminate(); process.exitCode = 7; });`;
  const { status, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    timeout: 20_000,
  });
  expect({ status, signal }).toEqual({ status: 7, signal: null });
});

test('more processes than can be followed are refused with a remedy', async () => {
  const program = await KernelProgram.load(ringBytes);
  try {
    // Beyond what a process id can be.
    const follow = () => {
      for (let pid = 5_000_000; pid < 5_040_000; pid++) program.follow(pid, 0);
    };
    expect(follow).toThrow(/more processes run than can be followed at once/);
  } finally {
    program.close();
  }
});
