// A file held open and read in bounded slices. Owns the descriptor, so that what is read stays one and the
// same file while its name is given to another; knows nothing of ELF.

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { AgsightError, systemErrorCode } from '../errors.js';

/** Longest slice that `read` allocates. Longer ranges are walked with `readInto` and one buffer. */
const maxSliceBytes = 4 * 1024 * 1024;

export class BinaryFile {
  readonly path: string;
  /** Bytes, as of opening. */
  readonly size: number;
  readonly #descriptor: number;
  readonly #writtenAt: bigint;

  private constructor(path: string, descriptor: number) {
    const { size, mtimeNs } = fstatSync(descriptor, { bigint: true });
    this.path = path;
    this.size = Number(size);
    this.#descriptor = descriptor;
    this.#writtenAt = mtimeNs;
  }

  /**
   * Opens a regular file; `/proc/PID/exe` is one. Never waits for the other end of a fifo.
   *
   * @throws AgsightError `unreadable` or `not-a-file`
   */
  static open(path: string): BinaryFile {
    let descriptor: number;
    try {
      descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    } catch (error) {
      throw unreadable(path, error);
    }
    try {
      const stat = fstatSync(descriptor);
      if (!stat.isFile()) {
        const what = stat.isDirectory() ? 'a directory' : 'a device, fifo or socket';
        throw new AgsightError('not-a-file', `${what}, not a program`, {
          file: path,
          remedy: 'name the program or library file',
        });
      }
      return new BinaryFile(path, descriptor);
    } catch (error) {
      closeSync(descriptor);
      throw error instanceof AgsightError ? error : unreadable(path, error);
    }
  }

  /**
   * A copy of exactly `length` bytes at `offset`.
   *
   * @throws AgsightError `damaged` when the range is not in the file
   */
  read(offset: number, length: number): Buffer {
    if (length > maxSliceBytes) {
      throw this.damaged(`${length} bytes in one piece are more than the ${maxSliceBytes} allowed`, offset);
    }
    this.#requireRange(offset, length);
    const slice = Buffer.alloc(length);
    this.readInto(slice, offset, length);
    return slice;
  }

  /** Fills the start of `target` with exactly `length` bytes at `offset`; errors as `read`. */
  readInto(target: Buffer, offset: number, length: number): void {
    this.#requireRange(offset, length);
    let done = 0;
    while (done < length) {
      const count = this.#readSome(target, done, length - done, offset + done);
      if (count === 0) throw this.damaged('the file became shorter while it was read', offset + done);
      done += count;
    }
  }

  /**
   * Meant for the end: that all which was read belongs together.
   *
   * @throws AgsightError `changed` when somebody wrote to the file since it was opened
   */
  requireUnchanged(): void {
    const { size, mtimeNs } = fstatSync(this.#descriptor, { bigint: true });
    if (Number(size) === this.size && mtimeNs === this.#writtenAt) return;
    throw new AgsightError('changed', 'somebody wrote to it while it was read', {
      file: this.path,
      remedy: 'try again when it is written',
    });
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  /** The error for content that cannot be what the format allows, at `offset` when it has a place. */
  damaged(what: string, offset?: number): AgsightError {
    return new AgsightError('damaged', what, {
      file: this.path,
      place: offset === undefined ? undefined : `byte ${offset}`,
      remedy: 'get the file again, it is cut or damaged',
    });
  }

  #requireRange(offset: number, length: number): void {
    const inside = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
    if (!inside || offset + length > this.size) {
      throw this.damaged(`${length} bytes are expected here, the file has ${this.size} in all`, offset);
    }
  }

  #readSome(target: Buffer, at: number, length: number, offset: number): number {
    try {
      return readSync(this.#descriptor, target, at, length, offset);
    } catch (error) {
      throw unreadable(this.path, error);
    }
  }
}

function unreadable(path: string, cause: unknown): AgsightError {
  const code = systemErrorCode(cause) ?? String(cause);
  const what = code === 'ENOENT' ? 'no such file' : `cannot be read: ${code}`;
  const remedy = code === 'EACCES' || code === 'EPERM' ? 'run as its owner or as root' : 'check the path';
  return new AgsightError('unreadable', what, { file: path, remedy, cause });
}
