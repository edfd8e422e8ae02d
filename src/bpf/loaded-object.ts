// One eBPF object in the kernel: its light skeleton, which the build has generated, and its maps and programs by name.

import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { AgsightError, messageOf, systemErrorCode } from '../errors.js';
import type { Shim, ShimSession } from './shim.js';

/** `agsight-files` is the whole, `agsight` what every supported kernel takes. */
export type ObjectName = 'agsight' | 'agsight-files';

/** How uprobes are attached. */
export type AttachKind = 'uprobe_multi' | 'perf';

const uprobeMultiAttachType = 48;
const noPrealloc = 1;

/** As generate.c writes it. */
interface Skeleton {
  maps: string[];
  programs: string[];
  /** Where in the data stand the attach types of the probes, and the flags of the hash maps. */
  uprobeMultiPositions: number[];
  noPreallocPositions: number[];
  /** Of the loader program, which stands before its data. */
  instructionBytes: number;
}

export class LoadedObject {
  readonly session: ShimSession;
  readonly #maps: Map<string, number>;
  readonly #programs: Map<string, number>;

  private constructor(session: ShimSession, { maps, programs }: Skeleton) {
    this.session = session;
    this.#maps = indices(maps);
    this.#programs = indices(programs);
  }

  /**
   * @param ringBytes size of the ring buffer; a power of two and a multiple of the page size.
   * Errors: `bpf-load` with the kernel's reason.
   */
  static async load(
    shim: Shim,
    name: ObjectName,
    ringBytes: number,
    attachKind: AttachKind,
  ): Promise<LoadedObject> {
    const skeleton: Skeleton = JSON.parse(readFileSync(skeletonFile(name, 'json'), 'utf8'));
    const loader = readFileSync(skeletonFile(name, 'bin'));
    const data = loader.subarray(skeleton.instructionBytes);
    if (attachKind === 'uprobe_multi') {
      for (const position of skeleton.uprobeMultiPositions) data[position] = uprobeMultiAttachType;
    }
    if (mapsGrow(release())) {
      for (const position of skeleton.noPreallocPositions) data[position] = noPrealloc;
    }
    const instructions = loader.subarray(0, skeleton.instructionBytes);
    const maxEntries = Uint32Array.from(skeleton.maps, (map) => (map === 'ring' ? ringBytes : 0));
    try {
      const session = await shim.load(instructions, data, maxEntries, skeleton.programs.length);
      return new LoadedObject(session, skeleton);
    } catch (error) {
      throw loadFailure(error);
    }
  }

  map(name: string): number {
    const index = this.#maps.get(name);
    if (index === undefined) throw new Error(`the skeleton has no map ${name}`);
    return index;
  }

  program(name: string): number {
    const index = this.#programs.get(name);
    if (index === undefined) throw new Error(`the skeleton has no program ${name}`);
    return index;
  }
}

/**
 * Whether hash maps may allocate their elements when programs add them. Linux has an allocator for that since 6.1; before,
 * a map has all of its memory from the start, which for ours takes a tenth of a second.
 */
function mapsGrow(kernelRelease: string): boolean {
  const [major = 0, minor = 0] = kernelRelease.split('.', 2).map(Number.parseFloat);
  return major > 6 || (major === 6 && minor >= 1);
}

function indices(names: readonly string[]): Map<string, number> {
  return new Map(names.map((name, index) => [name, index]));
}

function skeletonFile(name: ObjectName, ending: 'json' | 'bin'): URL {
  return new URL(`skeleton/${name}-${process.arch}.${ending}`, import.meta.url);
}

function loadFailure(error: unknown): AgsightError {
  const code = systemErrorCode(error);
  const remedy =
    code === 'EPERM' || code === 'EACCES'
      ? 'run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_RESOURCE'
      : 'agsight needs Linux 5.17 or newer with BTF';
  return new AgsightError('bpf-load', `the kernel refused the eBPF programs: ${messageOf(error)}`, {
    remedy,
    cause: error,
  });
}
