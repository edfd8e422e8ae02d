// Appends events to the evidence of a bundle. Owns segments, checkpoints and the order "whole frames first":
// killed or failing at any point, the files hold a prefix of whole frames and at most one torn frame.
// It does not decide what is recorded, and it never reads.
import { createHash } from 'node:crypto';
import { closeSync, fdatasyncSync, ftruncateSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AgsightError, ExitCode, systemErrorCode } from '../errors.js';
import type { CaptureEndEvent, CheckpointEvent, EvidenceEvent } from './event.js';
import { writeEvent } from './event-encoder.js';
import { type Checksum, FRAME_HEADER_BYTES, sealFrame, wholeFrames } from './frame.js';
import { MessageWriter } from './message-writer.js';
import { evidenceDirectory, segmentName } from './segment.js';

/** What a capture records. Checkpoints and the end are the writer's own. */
export type RecordedEvent = Exclude<EvidenceEvent, CheckpointEvent | CaptureEndEvent>;

export interface EvidenceWriterOptions {
  /** A segment ends at the last frame border before this size. A larger single frame gets its own segment. */
  segmentBytes?: number;
  /** Evidence between two checkpoints. */
  checkpointBytes?: number;
  /** How frames are summed; by default in JavaScript. */
  checksum?: Checksum | undefined;
}

const SEGMENT_BYTES = 256 * 1024 * 1024;
const CHECKPOINT_BYTES = 4 * 1024 * 1024;
/** Event time after which `flush` writes a checkpoint although little was recorded. */
const CHECKPOINT_INTERVAL_NS = 1_000_000_000n;
/** Frames are collected up to this size, then written with one call. */
const BATCH_BYTES = 1024 * 1024;
/** The batch buffer also takes the frame that crosses BATCH_BYTES. */
const BUFFER_BYTES = BATCH_BYTES + 256 * 1024;

/**
 * Writes `evidence/000001.pb` and its successors below `bundleDir`, files 0600 and directories 0700.
 *
 * Every method is synchronous. After a failed write the segment is cut back to its last whole frame, the
 * method throws AgsightError `disk-full` or `write-failed`, and every later `append`, `flush` and `end`
 * throws the same error; `close` still works.
 */
export class EvidenceWriter {
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #checkpointBytes: number;
  readonly #checksum: Checksum | undefined;
  readonly #hash = createHash('sha256');
  readonly #batch = new MessageWriter(BUFFER_BYTES);
  /** Bytes of the batch that the hash has taken in. */
  #hashed = 0;
  #segment = 1;
  #descriptor: number | undefined;
  /** Bytes of the current segment on disk, and bytes of all segments before it. */
  #written = 0;
  #earlierBytes = 0;
  #frames = 0;
  #framesInBatch = 0;
  #lastTimeNs = 0n;
  #checkpointTimeNs: bigint | undefined;
  #checkpointAtBytes = 0;
  #failure: AgsightError | undefined;

  /** @throws AgsightError `evidence-exists` when the directory already holds evidence. */
  constructor(bundleDir: string, options: EvidenceWriterOptions = {}) {
    this.#directory = evidenceDirectory(bundleDir);
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    this.#checkpointBytes = options.checkpointBytes ?? CHECKPOINT_BYTES;
    this.#checksum = options.checksum;
    this.#attempt(() => mkdirSync(this.#directory, { recursive: true, mode: 0o700 }));
    this.#openSegment();
  }

  /** Bytes of evidence so far, whether or not they have been flushed. */
  get bytes(): number {
    return this.#earlierBytes + this.#written + this.#batch.at;
  }

  /** Frames so far, including checkpoints. */
  get frames(): number {
    return this.#frames + this.#framesInBatch;
  }

  /** Takes one event in. Nothing of `event` is kept. */
  append(event: RecordedEvent): void {
    this.#refuseAfterFailure();
    this.#appendFrame(event);
    this.#checkpointTimeNs ??= event.timeNs;
    if (this.bytes - this.#checkpointAtBytes >= this.#checkpointBytes) this.#appendCheckpoint();
    if (this.#batch.at >= BATCH_BYTES) this.#writeBatch(this.#batch.at);
  }

  /** Hands everything to the kernel, so that it survives the end of this process. */
  flush(): void {
    this.#refuseAfterFailure();
    const due = (this.#checkpointTimeNs ?? this.#lastTimeNs) + CHECKPOINT_INTERVAL_NS;
    if (this.#lastTimeNs >= due && this.bytes > this.#checkpointAtBytes) this.#appendCheckpoint();
    this.#writeBatch(this.#batch.at);
  }

  /** Writes the last checkpoint and the end frame, and waits until the disk has them. */
  end(event: CaptureEndEvent): void {
    this.#refuseAfterFailure();
    this.#lastTimeNs = event.timeNs;
    this.#appendCheckpoint();
    this.#appendFrame(event);
    this.#writeBatch(this.#batch.at);
    this.#attempt(() => {
      if (this.#descriptor !== undefined) fdatasyncSync(this.#descriptor);
    });
    this.#failure = new AgsightError('evidence-closed', 'the evidence has ended', { file: this.#path() });
  }

  /** Closes the segment. What was appended and not flushed is written first unless a write has failed. */
  close(): void {
    if (this.#descriptor === undefined) return;
    try {
      if (this.#failure === undefined) this.#writeBatch(this.#batch.at);
    } finally {
      closeSync(this.#descriptor);
      this.#descriptor = undefined;
      this.#failure ??= new AgsightError('evidence-closed', 'the evidence is closed', { file: this.#path() });
    }
  }

  #appendCheckpoint(): void {
    const { buffer, at } = this.#batch;
    this.#hash.update(buffer.subarray(this.#hashed, at));
    this.#hashed = at;
    this.#checkpointTimeNs = this.#lastTimeNs;
    this.#appendFrame({
      kind: 'checkpoint',
      pid: 0,
      tid: 0,
      comm: '',
      timeNs: this.#lastTimeNs,
      rootPid: 0,
      sha256: this.#hash.copy().digest(),
      frames: this.frames,
      bytes: this.bytes,
    });
    this.#checkpointAtBytes = this.bytes;
  }

  #appendFrame(event: EvidenceEvent): void {
    const batch = this.#batch;
    const start = batch.at;
    try {
      batch.at += FRAME_HEADER_BYTES;
      writeEvent(batch, event);
      sealFrame(batch.buffer, start, batch.at, this.#checksum);
    } catch (error) {
      batch.at = start;
      throw error;
    }
    this.#lastTimeNs = event.timeNs;
    this.#framesInBatch++;
    if (this.#written + batch.at > this.#segmentBytes && this.#written + start > 0) this.#roll(start);
  }

  /** Starts the next segment with the frame that begins at `border` of the batch. */
  #roll(border: number): void {
    this.#writeBatch(border);
    this.#attempt(() => {
      if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    });
    this.#earlierBytes += this.#written;
    this.#written = 0;
    this.#segment++;
    this.#openSegment();
  }

  /** Writes `batch[0, end)`, which ends at a frame border, and moves what follows to the front. */
  #writeBatch(end: number): void {
    const { buffer, at } = this.#batch;
    if (end === 0) return;
    if (this.#hashed < end) this.#hash.update(buffer.subarray(this.#hashed, end));
    let done = 0;
    try {
      while (done < end) done += writeSync(this.#openDescriptor(), buffer, done, end - done);
    } catch (cause) {
      throw this.#fail(cause, wholeFrames(buffer, done));
    }
    buffer.copyWithin(0, end, at);
    this.#batch.at = at - end;
    this.#hashed = 0;
    this.#written += end;
    const left = wholeFrames(buffer, this.#batch.at).frames;
    this.#frames += this.#framesInBatch - left;
    this.#framesInBatch = left;
  }

  #openDescriptor(): number {
    if (this.#descriptor === undefined) throw new Error('the segment is not open');
    return this.#descriptor;
  }

  #openSegment(): void {
    try {
      this.#descriptor = openSync(this.#path(), 'wx', 0o600);
    } catch (cause) {
      if (systemErrorCode(cause) !== 'EEXIST') throw this.#fail(cause, { bytes: 0, frames: 0 });
      throw new AgsightError('evidence-exists', 'evidence is already there', {
        file: this.#path(),
        remedy: 'name a new directory',
        cause,
      });
    }
  }

  #attempt(action: () => void): void {
    try {
      action();
    } catch (cause) {
      throw this.#fail(cause, { bytes: 0, frames: 0 });
    }
  }

  /** Keeps the `whole` frames of a batch that was written in part, cuts the rest, and refuses what follows. */
  #fail(cause: unknown, whole: { bytes: number; frames: number }): AgsightError {
    this.#written += whole.bytes;
    this.#frames += whole.frames;
    this.#framesInBatch = 0;
    this.#batch.at = 0;
    if (this.#descriptor !== undefined) {
      try {
        ftruncateSync(this.#descriptor, this.#written);
      } catch {
        // A torn frame stays behind, which every reader of evidence recognises.
      }
    }
    const code = systemErrorCode(cause);
    const isFull = code === 'ENOSPC' || code === 'EDQUOT';
    const what = isFull ? 'the disk is full' : `the evidence cannot be written: ${code ?? String(cause)}`;
    this.#failure = new AgsightError(
      isFull ? 'disk-full' : 'write-failed',
      `${what}; the ${this.#frames} frames before are kept`,
      {
        file: this.#path(),
        remedy: isFull
          ? 'free space, or name a directory on another disk'
          : 'check the directory and its disk',
        exitCode: ExitCode.incomplete,
        cause,
      },
    );
    return this.#failure;
  }

  #refuseAfterFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #path(): string {
    return join(this.#directory, segmentName(this.#segment));
  }
}
