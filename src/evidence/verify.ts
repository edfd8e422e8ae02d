// Judges the evidence of a bundle: is it all there, and is it what the capture wrote? Owns the findings and
// the verdict. Checksums and checkpoints show damage and careless edits; they are no signature, so whoever
// needs proof keeps the reported SHA-256 of the whole evidence somewhere else.
import { createHash } from 'node:crypto';
import { type CaptureJsonFault, captureJsonFaults } from './capture-json.js';
import type { CheckpointEvent, EvidenceEvent } from './event.js';
import { decodeEvent } from './event-decoder.js';
import { damageOf, type EvidenceAnomaly, noEnd, type SegmentItem, scanEvidence } from './reader.js';
import { segmentName } from './segment.js';
import { type StreamGap, StreamGaps } from './stream-gaps.js';

/**
 * `incomplete`: something is missing that a capture can lose (it was killed, the ring was full).
 * `altered`: the files are not what the capture wrote.
 */
type Verdict = 'ok' | 'incomplete' | 'altered';

interface Finding {
  verdict: Exclude<Verdict, 'ok'>;
  kind:
    | EvidenceAnomaly['kind']
    | CaptureJsonFault['kind']
    | 'checkpoint-mismatch'
    | 'no-checkpoint'
    | 'no-start'
    | 'after-end'
    | 'stream-gap'
    | 'stream-overlap'
    | 'not-recorded'
    | 'lost-events';
  /** The segment's file name; absent when the finding is about the evidence as a whole. */
  segment?: string;
  /** Bytes from the segment's start. */
  place?: number;
  detail: string;
}

export interface VerifyReport {
  verdict: Verdict;
  segments: number;
  bytes: number;
  /** Frames with a right checksum. */
  frames: number;
  /** SHA-256 over all segments in order, hexadecimal; null when some of their bytes are in no frame. */
  sha256: string | null;
  checkpoints: { matching: number; mismatching: number };
  /** Frames by event kind. */
  events: Record<string, number>;
  tls: {
    connections: number;
    /** Plaintext in the evidence. */
    bytes: number;
    /** Plaintext that the capture saw and says that it did not record. */
    notRecorded: number;
    gaps: StreamGap[];
  };
  /** Lost events by reason, as the capture counted them. */
  loss: Record<string, number>;
  /** Why the capture ended; null when it did not end in order. */
  end: string | null;
  findings: Finding[];
  /** Findings beyond the first thousand, which are not listed. */
  findingsOmitted: number;
}

const MAX_FINDINGS = 1000;

/**
 * Reads all evidence of a bundle and checks frames, checksums, checkpoints, TLS stream offsets, loss
 * counters and the end.
 *
 * @throws AgsightError `no-evidence` when there is nothing to check
 */
export async function verifyEvidence(bundleDir: string): Promise<VerifyReport> {
  const check = new Check();
  for await (const item of scanEvidence(bundleDir)) check.add(item);
  return check.report();
}

/**
 * As `verifyEvidence`, and whether capture.json, where it is, says the same of the evidence. Nothing else is made of
 * what it says.
 *
 * @throws AgsightError `no-evidence` when there is nothing to check
 */
export async function verifyBundle(bundleDir: string): Promise<VerifyReport> {
  const report = await verifyEvidence(bundleDir);
  const faults = captureJsonFaults(bundleDir, report).filter(
    // Evidence that is known to be altered has other counts because of that.
    ({ kind }) => kind === 'unreadable-capture-json' || report.verdict !== 'altered',
  );
  if (faults.length === 0) return report;
  const findings = faults.map((fault): Finding => ({ verdict: 'altered', ...fault }));
  return { ...report, verdict: 'altered', findings: [...findings, ...report.findings] };
}

class Check {
  readonly #chain = createHash('sha256');
  readonly #gaps = new StreamGaps();
  readonly #findings: Finding[] = [];
  readonly #segments = new Set<string>();
  #findingsOmitted = 0;
  #worst: Verdict = 'ok';
  /** False once bytes are in no frame: checkpoints behind them cannot be recomputed. */
  #chainHolds = true;
  #bytes = 0;
  #frames = 0;
  #matching = 0;
  #mismatching = 0;
  #events: Record<string, number> = {};
  #tlsBytes = 0;
  #notRecorded = 0;
  #loss: Record<string, number> = {};
  #end: string | null = null;
  /** A torn frame is no alteration at the very end, where a killed capture leaves one. */
  #torn: EvidenceAnomaly | undefined;
  #last = { segment: segmentName(1), place: 0 };

  add(item: SegmentItem): void {
    if (this.#torn !== undefined) this.#find('altered', this.#torn);
    this.#torn = undefined;
    if (item.kind !== 'missing-segment') this.#segments.add(item.segment);
    if (item.kind !== 'frame') {
      this.#addDamage(item);
      return;
    }
    const event = decodeEvent(item.payload);
    const at = { segment: item.segment, place: item.place };
    this.#events[event.kind] = (this.#events[event.kind] ?? 0) + 1;
    if (this.#frames === 0 && event.kind !== 'capture-start') {
      this.#find('altered', { kind: 'no-start', ...at, detail: `the first frame is ${event.kind}` });
    }
    if (this.#end !== null) {
      this.#find('altered', {
        kind: 'after-end',
        ...at,
        detail: `${event.kind} after the end of the capture`,
      });
    }
    if (event.kind === 'unknown') {
      this.#find('incomplete', { kind: 'unknown-event', ...at, detail: event.reason });
    } else {
      this.#addEvent(event, at);
    }
    this.#frames++;
    this.#take(item.raw);
    this.#last = { segment: item.segment, place: item.place + item.raw.length };
  }

  report(): VerifyReport {
    if (this.#torn !== undefined) this.#find('incomplete', this.#torn);
    const { segment, place } = this.#last;
    if (this.#end === null) this.#find('incomplete', noEnd(segment, place));
    else if (this.#matching + this.#mismatching === 0) {
      this.#find('altered', { kind: 'no-checkpoint', detail: 'a capture that ended has a checkpoint' });
    }
    const gaps = this.#gaps.list();
    for (const { connection, direction, offset, bytes } of gaps) {
      const detail = `${bytes} bytes are missing at offset ${offset} of connection ${connection}, ${direction}`;
      this.#find('incomplete', { kind: 'stream-gap', detail });
    }
    if (this.#gaps.overlappingBytes > 0) {
      const detail = `${this.#gaps.overlappingBytes} bytes of TLS streams are there twice`;
      this.#find('incomplete', { kind: 'stream-overlap', detail });
    }
    if (this.#notRecorded > 0) {
      const detail = `${this.#notRecorded} bytes of TLS streams were seen but not recorded`;
      this.#find('incomplete', { kind: 'not-recorded', detail });
    }
    for (const [reason, events] of Object.entries(this.#loss)) {
      if (events > 0)
        this.#find('incomplete', { kind: 'lost-events', detail: `${events} events: ${reason}` });
    }
    return {
      verdict: this.#worst,
      segments: this.#segments.size,
      bytes: this.#bytes,
      frames: this.#frames,
      sha256: this.#chainHolds ? this.#chain.digest('hex') : null,
      checkpoints: { matching: this.#matching, mismatching: this.#mismatching },
      events: this.#events,
      tls: {
        connections: this.#gaps.connections,
        bytes: this.#tlsBytes,
        notRecorded: this.#notRecorded,
        gaps,
      },
      loss: this.#loss,
      end: this.#end,
      findings: this.#findings,
      findingsOmitted: this.#findingsOmitted,
    };
  }

  #addDamage(item: Exclude<SegmentItem, { kind: 'frame' }>): void {
    const anomaly = damageOf(item);
    if (item.kind === 'torn') {
      this.#torn = anomaly;
    } else {
      this.#find('altered', anomaly);
    }
    if (item.kind === 'bad-crc') this.#take(item.raw);
    else this.#chainHolds = false;
  }

  #addEvent(event: EvidenceEvent, at: { segment: string; place: number }): void {
    switch (event.kind) {
      case 'tls':
        this.#gaps.add(event);
        this.#tlsBytes += event.data.length;
        this.#notRecorded += event.missing;
        break;
      case 'loss':
        this.#loss = event.counters;
        break;
      case 'checkpoint':
        this.#addCheckpoint(event, at);
        break;
      case 'capture-end':
        this.#end = event.reason;
        break;
    }
  }

  #addCheckpoint(checkpoint: CheckpointEvent, at: { segment: string; place: number }): void {
    const digest = this.#chain.copy().digest();
    const matches = this.#chainHolds && digest.equals(checkpoint.sha256) && checkpoint.bytes === this.#bytes;
    if (matches) {
      this.#matching++;
      return;
    }
    this.#mismatching++;
    const detail = 'the evidence before this checkpoint is not what the capture wrote';
    this.#find('altered', { kind: 'checkpoint-mismatch', ...at, detail });
  }

  #take(raw: Uint8Array): void {
    this.#chain.update(raw);
    this.#bytes += raw.length;
  }

  #find(verdict: Finding['verdict'], finding: Omit<Finding, 'verdict'>): void {
    if (this.#worst !== 'altered') this.#worst = verdict;
    if (this.#findings.length < MAX_FINDINGS) this.#findings.push({ verdict, ...finding });
    else this.#findingsOmitted++;
  }
}
