import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRolloutName, parseUuid, uuidTime } from '../../src/sessions/rollout-name.js';

const UUID = '01a1f8e4-b090-78c2-897b-228849f1b9c6';
const SIMPLE = UUID.replaceAll('-', '');

describe('parseRolloutName', () => {
  it.each([
    ['hyphenated', UUID],
    ['upper case', UUID.toUpperCase()],
    ['without hyphens', SIMPLE],
    ['urn', `urn:uuid:${UUID}`],
    ['braces', `{${UUID}}`],
  ])('accepts the UUID spelling that Codex accepts: %s', (_, uuid) => {
    expect(parseRolloutName(`rollout-2026-11-20T12-18-19-${uuid}.jsonl`)).toEqual({
      threadId: UUID,
      localTime: '2026-11-20T12:18:19',
      form: 'jsonl',
    });
  });

  it('knows compressed rollouts', () => {
    expect(parseRolloutName(`rollout-2026-11-20T12-18-19-${UUID}.jsonl.zst`)).toMatchObject({
      threadId: UUID,
      form: 'zst',
    });
  });

  it('knows the documents of the first Codex, whose names have the day only', () => {
    expect(parseRolloutName(`rollout-2025-04-16-${UUID}.json`)).toEqual({
      threadId: UUID,
      localTime: '2025-04-16',
      form: 'json',
    });
  });

  it.each([
    `rollout-2026-11-20T12-18-19-${UUID}.jsonl.zst.tmp`,
    `rollout-2026-11-20T12-18-19-${UUID}.json.zst`,
    `rollout-2026-11-20T12-18-19-${UUID}.jsonl.tmp`,
    `2026-11-20T12-18-19-${UUID}.jsonl`,
    `rollout-${UUID}.jsonl`,
    `rollout-2026-11-20-${UUID}.jsonl`,
    `rollout-2026-02-30-${UUID}.json`,
    `${UUID}.jsonl`,
    `${'z'.repeat(36)}.jsonl`,
    `rollout-2026-11-20T12-18-19-${UUID.slice(1)}.jsonl`,
    `rollout-2026-11-20T12-18-19-x${UUID}.jsonl`,
    `rollout-2026-13-20T12-18-19-${UUID}.jsonl`,
    `rollout-2026-02-30T12-18-19-${UUID}.jsonl`,
    `rollout-2026-11-20T24-00-00-${UUID}.jsonl`,
    `rollout-2026-11-20T12-18-19-{${SIMPLE}}.jsonl`,
    'rollout-.jsonl',
    '',
  ])('refuses %s', (name) => {
    expect(parseRolloutName(name)).toBeUndefined();
  });

  it('survives any name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.boolean(), (middle, wrapped) => {
        const name = wrapped ? `rollout-2026-11-20T12-18-19-${middle}.jsonl` : middle;
        expect(parseRolloutName(name)?.threadId ?? UUID).toMatch(/^[0-9a-f-]{36}$/);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('parseUuid', () => {
  it('gives every UUID back from each of its spellings', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.boolean(), (uuid, upper) => {
        const spelled = upper ? uuid.toUpperCase() : uuid;
        for (const text of [spelled, spelled.replaceAll('-', ''), `urn:uuid:${spelled}`, `{${spelled}}`]) {
          expect(parseUuid(text)).toBe(uuid);
        }
      }),
    );
  });
});

describe('uuidTime', () => {
  it('reads the time of a UUIDv7 and of no other', () => {
    expect(new Date(uuidTime(UUID) ?? 0).toISOString()).toBe('2026-11-20T12:18:19.408Z');
    expect(uuidTime(UUID.replace('-78c2-', '-48c2-'))).toBeUndefined();
    expect(uuidTime('7')).toBeUndefined();
  });
});
