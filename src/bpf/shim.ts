// The native shim: finding it, and its types. Nothing here knows what the numbers mean.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { AgsightError } from '../errors.js';

/** A loaded skeleton; opaque. */
export type ShimSession = { readonly shimSession: unique symbol };

/** Functions throw an Error whose `code` is the errno name. Maps, programs and links are indices. */
export interface Shim {
  /** Rejects when the kernel refuses it. */
  load(
    instructions: Uint8Array,
    data: Uint8Array,
    maxEntries: Uint32Array,
    programCount: number,
  ): Promise<ShimSession>;
  close(session: ShimSession): void;
  /** The name is empty for a program that was compiled for one tracepoint. */
  attachTracepoint(session: ShimSession, program: number, name: string): number;
  runProgram(session: ShimSession, program: number): void;
  attachUprobeMulti: AttachUprobes;
  attachUprobePerf: AttachUprobes;
  detach(session: ShimSession, link: number): void;
  /** As `detach`, without waiting for the kernel; the session may be closed meanwhile. */
  detachInThread(session: ShimSession, link: number): Promise<void>;
  setElement(session: ShimSession, map: number, key: Uint8Array, value: Uint8Array): void;
  deleteElement(session: ShimSession, map: number, key: Uint8Array): boolean;
  /** Fills `entries` with keys of `keyBytes`, each before its 64-bit value; returns the bytes that were filled. */
  readElements(session: ShimSession, map: number, keyBytes: number, entries: Uint8Array): number;
  /** The sum over all CPUs. */
  readCounter(session: ShimSession, map: number, index: number): number;
  /** Rings are 0 for records and 1 for notices. */
  openRing(session: ShimSession, ring: number, map: number, bytes: number): void;
  /** Bytes written to `buffer`; see record.ts for their form. */
  drain(session: ShimSession, ring: number, buffer: Uint8Array): number;
  /** Bytes that are in a ring, with those of records that are still being written. */
  pending(session: ShimSession, ring: number): number;
  /**
   * Settles when there are notices or the kernel program says that records wait, when some wait and none has come for
   * `pause` milliseconds, or at the latest after `milliseconds`; of both there are at most 1000. Settles with the position
   * of the reason in `waitEnds` of kernel-program.ts. One at a time.
   */
  wait(session: ShimSession, milliseconds: number, pause: number): Promise<number>;
  /** CLOCK_MONOTONIC and CLOCK_REALTIME of one instant, in nanoseconds. */
  clocks(): [monotonic: bigint, realtime: bigint];
  hasUprobeMulti(): boolean;
  /** Throws when the kernel refuses an fentry program on its function with this BTF id. */
  loadFentry(functionId: number): void;
  /** Calls a function of the shim that has the signature of SSL_write with `bytes`, and returns its address. */
  moveBytes(bytes: Uint8Array): bigint;
  /** As `crc32c` of src/evidence, by an instruction of the processor; undefined where it has none. */
  crc32c?: (bytes: Uint8Array, start: number, end: number) => number;
}

type AttachUprobes = (
  session: ShimSession,
  program: number,
  path: string,
  offsets: BigUint64Array,
  cookies: BigUint64Array,
  atReturn: boolean,
) => number[];

let loaded: Shim | undefined;

/** The shim for this platform. Errors: `no-shim` when it was not built. */
export function loadShim(): Shim {
  if (loaded !== undefined) return loaded;
  const file = fileURLToPath(new URL(`../../native/build/linux-${process.arch}.node`, import.meta.url));
  if (!existsSync(file)) {
    throw new AgsightError('no-shim', 'the native part of agsight is missing', {
      file,
      remedy: 'run `npm run build` in the package, which needs a C compiler',
    });
  }
  const shim: Shim = createRequire(import.meta.url)(file);
  loaded = shim;
  return shim;
}
