// Tries the real thing: loads what a capture loads and records a call of a function of our own. Whether it can work is
// best seen when it does.

import { readFileSync } from 'node:fs';
import { KernelProgram } from '../bpf/kernel-program.js';
import { Cookie, layout, RecordType, tlsLibraries } from '../bpf/record.js';
import { RecordReader } from '../bpf/record-reader.js';
import { loadShim } from '../bpf/shim.js';
import { kernelTypes } from '../capture/host.js';
import { functionId } from './btf.js';

export interface Trial {
  /** Milliseconds that loading took. */
  loadMs: number;
  attachKind: KernelProgram['attachKind'];
  /** Why operations on files would not be recorded; undefined when they would. */
  operationsRefused: string | undefined;
  /** Whether the call was recorded as it was made. */
  isRecorded: boolean;
}

const sample = Buffer.from('agsight doctor calls itself');
/** As of a function of OpenSSL; without any, the kernel program takes the call for none. */
const cookie = tlsLibraries.indexOf('openssl') << Cookie.libraryShift;
const drainBytes = 1 << 20;
/** Any function would do that every kernel has. */
const kernelFunction = 'vfs_open';

/** Errors: those of `KernelProgram`, `attach`. */
export async function tryCapture(ringBytes: number): Promise<Trial> {
  const startMs = performance.now();
  const program = await KernelProgram.load(ringBytes, { operations: true });
  const loadMs = performance.now() - startMs;
  try {
    const { path, offset } = placeOf(loadShim().moveBytes(sample));
    program.follow(process.pid, process.pid);
    program.attach(path, [{ offset, cookie, atReturn: true }]);
    loadShim().moveBytes(sample);
    const { attachKind, operationsRefused } = program;
    return { loadMs, attachKind, operationsRefused, isRecorded: isRecorded(program) };
  } finally {
    program.close();
  }
}

function isRecorded(program: KernelProgram): boolean {
  const buffer = Buffer.alloc(drainBytes);
  let found = false;
  new RecordReader(buffer).forEach(program.drain(buffer), (record) => {
    const isOurs = record.type === RecordType.tls && record.uint32(layout.pid) === process.pid;
    found ||= isOurs && record.bytes(layout.tls.data, sample.length).equals(sample);
  });
  return found;
}

/** The file that an address of this process is mapped from, and the place in it. */
function placeOf(address: bigint): { path: string; offset: number } {
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    const [, start, end, offset, path] =
      /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \d+ +(\/.*)$/.exec(line) ?? [];
    if (path === undefined || address < BigInt(`0x${start}`) || address >= BigInt(`0x${end}`)) continue;
    return { path, offset: Number(address - BigInt(`0x${start}`) + BigInt(`0x${offset}`)) };
  }
  throw new Error('a function of the shim is in no mapped file');
}

/** Whether the kernel takes fentry programs, which agsight does without. Errors: why it does not. */
export function tryFentry(): void {
  const id = functionId(readFileSync(kernelTypes), kernelFunction);
  if (id === undefined) throw new Error('the kernel does not describe its functions');
  loadShim().loadFentry(id);
}
