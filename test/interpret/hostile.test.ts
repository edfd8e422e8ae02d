// Real evidence, damaged in every way: what is interpreted of it is always a bundle that can be reduced without a fault,
// strictly, as the reference does, or of which what contradicts itself is left out.

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EvidenceEvent } from '../../src/evidence/event.js';
import { BundleRejected, reduceBundle } from '../../src/reduce/reduce.js';
import { evidenceOf, wireRecording } from '../support/wire.js';
import { interpret } from './story.js';

const recordings = {
  'a cell and its waits': wireRecording('code-yield', 'agreement'),
  'two agents over rustls': wireRecording('agents-fail-rustls', 'agreement'),
  'an interruption and a compaction': wireRecording('app-server-rustls', 'agreement'),
  'a compaction over WebSocket': wireRecording('compact-ws', 'agreement'),
  'commands that are written to': wireRecording('stdin'),
};

/** Every bundle that comes of `events` must reduce as if it were Codex's own. */
async function expectAccepted(events: readonly EvidenceEvent[]): Promise<void> {
  const { bundles } = interpret(events);
  for (const { dir, events: told } of bundles) {
    expect(told.map(({ seq }) => seq)).toEqual(told.map((_, index) => index + 1));
    const { anomalies, statePath } = await reduceBundle(dir, { strict: true }).catch((error: unknown) => {
      throw error instanceof BundleRejected ? new Error(`refused: ${error.reference}`) : error;
    });
    expect(anomalies).toEqual([]);
    expect(readFileSync(statePath, 'utf8')).toContain('"schema_version"');
  }
}

/** Of the recording of a cell: its call names another tool when it comes back. */
const otherTool = { flips: [{ at: 30, byte: 1334, bits: 1 }], changes: [] };

/** Of the same recording: what the model waits for cannot be read. */
const unreadableWait = { flips: [{ at: 53, byte: 489, bits: 1 }], changes: [] };

/** Of the app-server's recording: the process is said to end while it goes on. */
const exitBeforeTheEnd = {
  flips: [{ at: 61, byte: 0, bits: 1 }],
  changes: [{ at: 12, fields: { pid: 100 as const } }],
};

/** Of the recording of commands that are written to: what writes to the command is asked for before the command. */
const writeBeforeCommand = {
  ...{ drop: [], repeat: [], end: 16 },
  move: [
    [6, 0],
    [6, 11],
  ] as [number, number][],
};

/** Of the compaction over WebSocket: a request goes on where another one, which began anew, has come in between. */
const otherBetween = {
  ...{ drop: [0], repeat: [0, 7], end: 32 },
  move: [
    [14, 0],
    [0, 19],
    [29, 19],
  ] as [number, number][],
};

describe.each(Object.entries(recordings))('%s', (_, recording) => {
  const events = evidenceOf(recording, 4000);
  const place = fc.nat(events.length - 1);

  test('with events lost, repeated, moved and cut', async () => {
    const damage = fc.record({
      drop: fc.uniqueArray(place, { maxLength: 6 }),
      repeat: fc.array(place, { maxLength: 3 }),
      move: fc.array(fc.tuple(place, place), { maxLength: 4 }),
      end: fc.integer({ min: 1, max: events.length }),
    });
    await fc.assert(
      fc.asyncProperty(damage, async ({ drop, repeat, move, end }) => {
        const damaged: EvidenceEvent[] = [];
        for (const [index, event] of events.slice(0, end).entries()) {
          if (!drop.includes(index)) damaged.push(event);
          if (repeat.includes(index)) damaged.push(event);
        }
        for (const [from, to] of move) {
          const [moved] = damaged.splice(from, 1);
          if (moved !== undefined) damaged.splice(to, 0, moved);
        }
        await expectAccepted(damaged);
      }),
      { numRuns: 12, examples: [[writeBeforeCommand], [otherBetween]] },
    );
  });

  test('with bytes flipped and fields changed', async () => {
    const flip = fc.record({ at: place, byte: fc.nat(3999), bits: fc.integer({ min: 1, max: 255 }) });
    const change = fc.record({
      at: place,
      fields: fc.record(
        {
          pid: fc.constantFrom(100, 101, 1000, 7),
          connection: fc.constantFrom(1n, 2n, 3n, 99n),
          offset: fc.constantFrom(0, 1, 5000, Number.MAX_SAFE_INTEGER),
          missing: fc.constantFrom(0, 1, 2 ** 40),
          direction: fc.constantFrom('send', 'receive'),
          timeNs: fc.constantFrom(0n, 1n, 10n ** 21n),
          exitCode: fc.constantFrom(0, 255),
        },
        { requiredKeys: [] },
      ),
    });
    const damage = fc.record({
      flips: fc.array(flip, { maxLength: 8 }),
      changes: fc.array(change, { maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(damage, async ({ flips, changes }) => {
        const damaged = events.map((event, index) => {
          let changed: EvidenceEvent = event;
          for (const { at, fields } of changes)
            if (at === index) changed = { ...changed, ...fields } as EvidenceEvent;
          if (changed.kind !== 'tls') return changed;
          const data = Uint8Array.from(changed.data);
          for (const { at, byte, bits } of flips) {
            if (at === index && byte < data.length) data[byte] = (data[byte] ?? 0) ^ bits;
          }
          return { ...changed, data };
        });
        await expectAccepted(damaged);
      }),
      { numRuns: 12, examples: [[exitBeforeTheEnd], [otherTool], [unreadableWait]] },
    );
  });

  test('with ids and words that stand for each other', async () => {
    const whole = recording.pieces.map(([, , , bytes]) => bytes).join('\n');
    const words = [...new Set(whole.match(/(?<=")[A-Za-z0-9_/-]{3,40}(?=")/g))];
    const pairs = words.flatMap((word) =>
      words
        .filter((other) => other !== word && other.length === word.length)
        .map((other) => [word, other] as const),
    );
    const swaps = fc.uniqueArray(fc.nat(pairs.length - 1), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(swaps, async (chosen) => {
        let pieces = recording.pieces;
        for (const index of chosen) {
          const [word = '', other = ''] = pairs[index] ?? [];
          pieces = pieces.map((piece) => {
            const changed: typeof piece = [...piece];
            changed[3] = piece[3].replaceAll(`"${word}"`, `"${other}"`);
            return changed;
          });
        }
        // A conversation that contradicts itself is refused by the reference: what it refuses is left out and listed.
        for (const { dir } of interpret(evidenceOf({ ...recording, pieces })).bundles)
          await reduceBundle(dir);
      }),
      { numRuns: 12 },
    );
  });
});
