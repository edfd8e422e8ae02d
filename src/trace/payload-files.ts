// The payload files of a bundle: opens them only where they lie inside the bundle, and reads no more than a string
// can hold. What is in them is payload-reader.ts.

import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { isAbsolute, normalize, relative, sep } from 'node:path';
import type { RawPayloadRef } from './raw-event.js';
import { Rejection, systemErrorText } from './rejection.js';

/** Below the longest string that V8 can make (2^29 - 24). */
const MAX_PAYLOAD_BYTES = 500 * 1024 * 1024;
/** Nearly every payload is shorter: it is read into the same memory as the one before. */
const SHORT_PAYLOAD_BYTES = 1024 * 1024;

// Without O_NONBLOCK a named pipe in the place of a payload would wait forever.
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
/** Undefined where the system has no such flag. */
const NO_LINKS: number | undefined = constants.O_NOFOLLOW;

export class PayloadFiles {
  readonly #root: string;
  readonly #short = Buffer.allocUnsafeSlow(SHORT_PAYLOAD_BYTES);
  /** Directory of a payload, as its path has it → whether it is a real one inside the bundle. */
  readonly #plainFolders = new Map<string, boolean>();

  /** Throws when the bundle directory does not exist. */
  constructor(dir: string) {
    this.#root = realpathSync.native(dir);
  }

  /**
   * The bytes of a payload, valid until the next call. Throws Rejection `payload-outside`, `payload-unreadable`
   * or `payload-too-large`.
   *
   * @param opening what the reference says it was doing when a file cannot be opened; `reading` likewise.
   */
  read(ref: RawPayloadRef, opening: string, reading: string): Buffer {
    const unreadable = (doing: string, error: unknown) =>
      new Rejection('payload-unreadable', `${doing} ${ref.raw_payload_id}`, [systemErrorText(error)]);
    let file = this.#openPlain(ref.path);
    if (file === undefined) {
      const path = this.#locate(ref, (error) => unreadable(opening, error));
      try {
        file = openSync(path, OPEN_FLAGS);
      } catch (error) {
        throw unreadable(opening, error);
      }
    }
    try {
      return this.#readAll(file, ref);
    } catch (error) {
      throw error instanceof Rejection ? error : unreadable(reading, error);
    } finally {
      closeSync(file);
    }
  }

  /**
   * Opens `FOLDER/NAME` in one step: no link can lead out of a folder that was looked at before. Undefined when that
   * does not work, for whatever reason.
   */
  #openPlain(path: string): number | undefined {
    const slash = path.lastIndexOf('/');
    const folder = path.slice(0, Math.max(slash, 0));
    const name = path.slice(slash + 1);
    if (NO_LINKS === undefined || name === '' || name === '.' || name === '..') return undefined;
    let plain = this.#plainFolders.get(folder);
    if (plain === undefined) {
      plain = this.#isPlain(folder);
      this.#plainFolders.set(folder, plain);
    }
    if (!plain) return undefined;
    try {
      return openSync(`${this.#root}${sep}${path}`, OPEN_FLAGS | NO_LINKS);
    } catch {
      return undefined;
    }
  }

  #isPlain(folder: string): boolean {
    const path = folder === '' ? this.#root : `${this.#root}${sep}${folder}`;
    try {
      return realpathSync.native(path) === path;
    } catch {
      return false;
    }
  }

  /** The real path of a payload file, refused when it leads out of the bundle, also through a symbolic link. */
  #locate(ref: RawPayloadRef, unreadable: (error: unknown) => Rejection): string {
    const outside = () =>
      new Rejection('payload-outside', `payload ${ref.raw_payload_id} lies outside the bundle: ${ref.path}`);
    if (isAbsolute(ref.path) || leadsOut(normalize(ref.path))) throw outside();
    let real: string;
    try {
      // Not `join`: the system does not leave a folder by `..` that does not exist.
      real = realpathSync.native(`${this.#root}${sep}${ref.path}`);
    } catch (error) {
      throw unreadable(error);
    }
    if (leadsOut(relative(this.#root, real))) throw outside();
    return real;
  }

  #readAll(file: number, ref: RawPayloadRef): Buffer {
    let bytes = this.#short;
    let length = 0;
    for (;;) {
      const read = readSync(file, bytes, length, bytes.length - length, null);
      if (read === 0) return bytes.subarray(0, length);
      length += read;
      if (length < bytes.length) continue;
      // One byte more than the file has tells whether it grows; a pipe has no size at all.
      const size = Math.max(fstatSync(file).size, length);
      if (size > MAX_PAYLOAD_BYTES) {
        const what = `payload ${ref.raw_payload_id} is longer than ${MAX_PAYLOAD_BYTES} bytes`;
        throw new Rejection('payload-too-large', what);
      }
      const longer = Buffer.allocUnsafe(size === length ? 2 * length : size + 1);
      bytes.copy(longer, 0, 0, length);
      bytes = longer;
    }
  }
}

function leadsOut(path: string): boolean {
  return isAbsolute(path) || path === '..' || path.startsWith(`..${sep}`);
}
