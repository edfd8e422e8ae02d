// One eBPF object in the kernel: its light skeleton, which the build has generated, and its maps and programs by name.

import { readFileSync } from 'node:fs';
import { AgsightError, messageOf, systemErrorCode } from '../errors.js';
import type { Shim, ShimSession } from './shim.js';

/** `agsight-files` is the whole, `agsight` what every supported kernel takes. */
export type ObjectName = 'agsight' | 'agsight-files';

/** How uprobes are attached. */
export type AttachKind = 'uprobe_multi' | 'perf';

const uprobeMultiAttachType = 48;

interface Skeleton {
  maps: string[];
  programs: string[];
  attachTypePositions: number[];
  instructions: string;
  data: string;
}

export class LoadedObject {
  readonly session: ShimSession;
  readonly #maps: Map<string, number>;
  readonly #programs: Map<string, number>;

  /**
   * @param ringBytes size of the ring buffer; a power of two and a multiple of the page size.
   * Errors: `bpf-load` with the kernel's reason.
   */
  constructor(shim: Shim, name: ObjectName, ringBytes: number, attachKind: AttachKind) {
    const skeleton = readSkeleton(name);
    const data = Buffer.from(skeleton.data, 'base64');
    if (attachKind === 'uprobe_multi') {
      for (const position of skeleton.attachTypePositions) data[position] = uprobeMultiAttachType;
    }
    const instructions = Buffer.from(skeleton.instructions, 'base64');
    const maxEntries = Uint32Array.from(skeleton.maps, (map) => (map === 'ring' ? ringBytes : 0));
    try {
      this.session = shim.load(instructions, data, maxEntries, skeleton.programs.length);
    } catch (error) {
      throw loadFailure(error);
    }
    this.#maps = indices(skeleton.maps);
    this.#programs = indices(skeleton.programs);
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

function indices(names: readonly string[]): Map<string, number> {
  return new Map(names.map((name, index) => [name, index]));
}

function readSkeleton(name: ObjectName): Skeleton {
  const file = new URL(`skeleton/${name}-${process.arch}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8'));
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
